// SPDX-License-Identifier: MIT
// An Edge Function that tells jotgate what Stripe's webhook says: who is on which plan, and whether it was paid.
//
//   Stripe ──► /functions/v1/stripe-webhook (route: access open, limits [per_ip]) ──► PUT /_jotgate/subjects/USER
//
// Secrets: STRIPE_WEBHOOK_SECRET (whsec_…), JOTGATE_URL (https://gateway.example), JOTGATE_ADMIN_TOKEN.
// A subscription's metadata must name the user (`user_id`: the token's sub) and the plan (`plan`: one of plans.tiers).
const TOLERANCE_S = 300;

function hex(bytes: ArrayBuffer): string {
  return [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Takes the same time for every signature of the right length.
function isEqual(a: string, b: string): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= a.charCodeAt(i) ^ b.charCodeAt(i % (b.length || 1));
  return difference === 0;
}

// Stripe-Signature: t=SECONDS,v1=HEX[,v1=HEX…]; HEX is HMAC-SHA256 of "SECONDS.BODY".
export async function isFromStripe(body: string, header: string, secret: string, nowS: number): Promise<boolean> {
  const parts = header.split(",").map((part) => part.split("=", 2));
  const time = parts.find(([name]) => name === "t")?.[1] ?? "";
  if (!/^\d+$/.test(time) || Math.abs(nowS - Number(time)) > TOLERANCE_S) return false;
  const text = new TextEncoder();
  const key = await crypto.subtle.importKey("raw", text.encode(secret), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const expected = hex(await crypto.subtle.sign("HMAC", key, text.encode(`${time}.${body}`)));
  return parts.some(([name, value]) => name === "v1" && isEqual(value ?? "", expected));
}

export async function handle(request: Request): Promise<Response> {
  const env = (name: string) => Deno.env.get(name) ?? "";
  const secret = env("STRIPE_WEBHOOK_SECRET");
  const body = await request.text();
  if (!secret || !(await isFromStripe(body, request.headers.get("stripe-signature") ?? "", secret, Date.now() / 1000))) {
    return new Response("not from Stripe", { status: 400 });
  }
  const event = JSON.parse(body);
  const subscription = event.data?.object;
  const user = subscription?.metadata?.user_id;
  if (!event.type?.startsWith("customer.subscription.") || !user) return new Response("not for us");

  const start = subscription.items?.data?.[0]?.current_period_start ?? subscription.current_period_start;
  const answer = await fetch(`${env("JOTGATE_URL")}/_jotgate/subjects/${encodeURIComponent(user)}`, {
    method: "PUT",
    headers: { authorization: `Bearer ${env("JOTGATE_ADMIN_TOKEN")}` },
    body: JSON.stringify({
      plan: subscription.metadata.plan ?? null,
      status: event.type.endsWith(".deleted") ? "canceled" : subscription.status,
      anchor_day: start ? new Date(start * 1000).getUTCDate() : null,
    }),
  });
  // Stripe sends again what was not answered with 2xx.
  return new Response(await answer.text(), { status: answer.ok ? 200 : 502 });
}

if (import.meta.main) Deno.serve(handle);
