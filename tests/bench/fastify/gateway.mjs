// SPDX-License-Identifier: MIT
// The peer that many would write: Fastify with its own plugins for tokens, limits (in Redis) and proxying.
//   node gateway.mjs PORT UPSTREAM ISSUER PUBLIC_KEY_PEM REDIS_URL
import { readFileSync } from 'node:fs';
import proxy from '@fastify/http-proxy';
import jwt from '@fastify/jwt';
import rateLimit from '@fastify/rate-limit';
import Fastify from 'fastify';
import { Redis } from 'ioredis';

const [port, upstream, issuer, key, redis] = process.argv.slice(2);
const app = Fastify({ logger: false });
await app.register(jwt, {
  secret: { public: readFileSync(key) },
  verify: { algorithms: ['ES256'], allowedIss: issuer, allowedAud: 'authenticated' },
});
await app.register(rateLimit, {
  global: false, max: 1_000_000_000, timeWindow: 60_000, redis: new Redis(redis), keyGenerator: (request) => request.user.sub,
});
const authenticate = async (request, reply) => {
  try {
    await request.jwtVerify();
  } catch {
    return reply.code(401).send({ code: 'bad_jwt' });
  }
};
await app.register(proxy, { upstream, preHandler: [authenticate, app.rateLimit()] });
await app.listen({ port: Number(port), host: '127.0.0.1' });
