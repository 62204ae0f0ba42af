// SPDX-License-Identifier: MIT
// deploy/examples/stripe-webhook.ts as it stands, in Deno: what Stripe signs reaches the subject's record, and nothing else does.
import assert from 'node:assert/strict'
import { createHmac, randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { deno, gateway, project, scope } from './lib.mjs'

const SECRET = 'whsec_a-secret-between-stripe-and-the-function'
const ADMIN = 'an-admin-token-of-more-than-32-bytes'
const EXAMPLE = new URL('../../deploy/examples/stripe-webhook.ts', import.meta.url)
const SOURCE = `
import { handle } from ${JSON.stringify(EXAMPLE)}
Deno.serve({ port: 0, hostname: '127.0.0.1', onListen: ({ port }) => console.log('port ' + port) }, handle)`

const all = scope()
let jotgate, webhook

before(async () => {
  const plans = { default: 'free', tiers: { free: {}, pro: {} } }
  jotgate = await gateway(all, { url: (await project(all)).url, settings: { plans }, env: { JOTGATE_ADMIN_TOKEN: ADMIN } })
  webhook = await deno(all, SOURCE, { STRIPE_WEBHOOK_SECRET: SECRET, JOTGATE_URL: jotgate.url, JOTGATE_ADMIN_TOKEN: ADMIN })
})
after(() => all.close())

const now = () => Math.floor(Date.now() / 1000)
const sign = (body, time = now(), secret = SECRET) => `t=${time},v1=${createHmac('sha256', secret).update(`${time}.${body}`).digest('hex')}`
const event = (user, more = {}, type = 'customer.subscription.updated') =>
  JSON.stringify({ type, data: { object: { status: 'active', metadata: { user_id: user, plan: 'pro' }, items: { data: [{ current_period_start: Date.UTC(2026, 0, 15) / 1000 }] }, ...more } } })
const send = (body, signature) => fetch(webhook.url, { method: 'POST', body, headers: signature ? { 'stripe-signature': signature } : {} })
const record = async (user) => {
  const answer = await fetch(`${jotgate.url}/_jotgate/subjects/${user}`, { headers: { authorization: `Bearer ${ADMIN}` } })
  const { plan, status, anchor_day } = await answer.json()
  return [answer.status, plan, status, anchor_day]
}

describe('the webhook for Stripe', () => {
  it('writes what was signed', async () => {
    const user = randomUUID()
    const paid = event(user)
    assert.equal((await send(paid, sign(paid))).status, 200)
    assert.deepEqual(await record(user), [200, 'pro', 'active', 15])
    const gone = event(user, {}, 'customer.subscription.deleted')
    assert.equal((await send(gone, sign(gone))).status, 200)
    assert.deepEqual(await record(user), [200, 'pro', 'canceled', 15])
  })

  it('takes one good signature of several, as while a secret is rolled', async () => {
    const [user, time] = [randomUUID(), now()]
    const body = event(user)
    const old = sign(body, time, 'the old secret').split(',')[1]
    assert.equal((await send(body, sign(body, time).replace(',', `,${old},`))).status, 200)
    assert.equal((await record(user))[1], 'pro')
  })

  for (const [why, signature] of [
    ['by nobody', () => undefined],
    ['by somebody else', (body) => sign(body, now(), 'another secret')],
    ['for another body', () => sign('{}')],
    ['long ago', (body) => sign(body, now() - 3600)],
    ['without a time', (body) => sign(body).replace(/^t=\d+,/, '')],
  ]) {
    it(`refuses what was signed ${why}`, async () => {
      const user = randomUUID()
      const body = event(user)
      assert.equal((await send(body, signature(body))).status, 400)
      assert.deepEqual(await record(user), [200, null, null, null])
    })
  }

  it('passes over events that are not about a user’s subscription, and asks for a plan that is not there again', async () => {
    for (const body of [event(undefined), event(randomUUID(), {}, 'invoice.paid')]) assert.equal((await send(body, sign(body))).status, 200)
    const unknown = event(randomUUID(), { metadata: { user_id: randomUUID(), plan: 'gold' } })
    assert.equal((await send(unknown, sign(unknown))).status, 502)
  })
})
