// SPDX-License-Identifier: MIT
// supabase-js before a stand-in project whose public name is not its address: logged in, logged out with a publishable
// key or a legacy anon key, with and without the HS256 secret. SUPABASE_URL alone is enough.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, it } from 'node:test'
import { createClient } from '@supabase/supabase-js'
import { SignJWT, createLocalJWKSet, jwtVerify } from 'jose'
import ws from 'ws'
import { SECRET, gateway, json, project } from './lib.mjs'

const PUBLISHABLE = 'sb_publishable_abcdefghijklmnopqrstuv_12345678'
const PUBLIC_NAME = 'https://abc.supabase.example/auth/v1'
const legacyKey = (role) => new SignJWT({ role, ref: 'abc', iss: 'supabase', iat: 1700000000, exp: 2015360000 }).setProtectedHeader({ alg: 'HS256', typ: 'JWT' }).sign(new TextEncoder().encode(SECRET))

async function readAll(request) {
  const parts = []
  for await (const part of request) parts.push(part)
  return Buffer.concat(parts)
}

/** Just enough of a project: password login, a table, a function, a bucket; it verifies tokens by itself, as PostgREST does. */
async function standIn(t) {
  const files = new Map()
  const me = await project(t, {
    iss: PUBLIC_NAME,
    handle: async (request, response) => {
      const body = await readAll(request)
      const url = new URL(request.url, 'http://x')
      const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
      let user = null
      if (bearer?.split('.').length === 3 && !url.pathname.startsWith('/auth/')) {
        try {
          const hs = JSON.parse(Buffer.from(bearer.split('.')[0], 'base64url')).alg === 'HS256'
          const key = hs ? new TextEncoder().encode(SECRET) : createLocalJWKSet(me.issuer.jwks)
          user = (await jwtVerify(bearer, key)).payload
        } catch (error) {
          return json(response, { code: 'PGRST301', message: String(error) }, 401)
        }
      }
      const who = { role: user?.role ?? 'anon', sub: user?.sub ?? null, apikey: request.headers.apikey ?? null }
      if (url.pathname === '/auth/v1/token') return json(response, await session(me, JSON.parse(body)))
      if (url.pathname === '/auth/v1/user') return json(response, { id: randomUUID(), aud: 'authenticated', email: 'ada@example.com' })
      if (url.pathname.startsWith('/rest/v1/')) return json(response, [{ id: 1, query: url.search, prefer: request.headers.prefer ?? null, ...who }])
      if (url.pathname === '/functions/v1/hello') return json(response, { message: `Hello ${JSON.parse(body).name}!`, ...who })
      if (url.pathname.startsWith('/storage/v1/object/')) {
        if (request.method === 'GET') return response.writeHead(200, { 'content-type': 'application/octet-stream' }).end(files.get(url.pathname))
        files.set(url.pathname, body)
        return json(response, { Key: url.pathname, Id: randomUUID() })
      }
      return json(response, { message: 'not found' }, 404)
    },
  })
  return me
}

async function session(me, { email }) {
  const id = randomUUID()
  const access_token = await me.issuer.token('ES256', { sub: id, email })
  return {
    access_token, token_type: 'bearer', expires_in: 3600, expires_at: Math.floor(Date.now() / 1000) + 3600, refresh_token: 'r',
    user: { id, aud: 'authenticated', role: 'authenticated', email, app_metadata: {}, user_metadata: {}, created_at: new Date().toISOString() },
  }
}

const client = (url, key, options = {}) => createClient(url, key, { auth: { persistSession: false, autoRefreshToken: false }, realtime: { transport: ws }, ...options })

for (const [secretIs, env] of [['unknown', {}], ['known', { SUPABASE_JWT_SECRET: SECRET }]]) {
  describe(`supabase-js, HS256 secret ${secretIs}`, () => {
    for (const [kind, makeKey] of [['a publishable key', async () => PUBLISHABLE], ['a legacy anon key', () => legacyKey('anon')]]) {
      it(`logged out with ${kind}`, async (t) => {
        const upstream = await standIn(t)
        const jotgate = await gateway(t, { url: upstream.url, env })
        const key = await makeKey()
        const supabase = client(jotgate.url, key)
        const rows = await supabase.from('todos').select('*').eq('id', 1)
        assert.equal(rows.error, null)
        assert.deepEqual([rows.data[0].role, rows.data[0].sub, rows.data[0].apikey], ['anon', null, key])
        assert.equal(rows.data[0].query, '?select=*&id=eq.1')
        const called = await supabase.functions.invoke('hello', { body: { name: 'Ada' } })
        assert.equal(called.data?.message, 'Hello Ada!', called.error?.message)
      })

      it(`logged in with ${kind}`, async (t) => {
        const upstream = await standIn(t)
        const jotgate = await gateway(t, { url: upstream.url, env })
        const key = await makeKey()
        const supabase = client(jotgate.url, key)
        const login = await supabase.auth.signInWithPassword({ email: 'ada@example.com', password: 'secret' })
        assert.equal(login.error, null)
        const rows = await supabase.from('todos').insert({ title: 'x' }).select()
        assert.equal(rows.error, null)
        assert.deepEqual([rows.data[0].role, rows.data[0].sub, rows.data[0].apikey], ['authenticated', login.data.user.id, key])
        const called = await supabase.functions.invoke('hello', { body: { name: 'Ada' } })
        assert.equal(called.data?.sub, login.data.user.id)
        const data = Buffer.alloc(1 << 20, 7)
        const up = await supabase.storage.from('b').upload('a b/ü.bin', data, { upsert: true })
        assert.equal(up.error, null)
        const down = await supabase.storage.from('b').download('a b/ü.bin')
        assert.equal((await down.data.arrayBuffer()).byteLength, data.length)
      })
    }
  })
}

describe('what supabase-js makes of our answers', () => {
  const expired = { global: { headers: {} } }

  it('a token that has expired', async (t) => {
    const upstream = await standIn(t)
    const jotgate = await gateway(t, { url: upstream.url })
    const token = await upstream.issuer.token('ES256', { exp: 1700000000 })
    const supabase = client(jotgate.url, PUBLISHABLE, { ...expired, accessToken: async () => token })
    const rows = await supabase.from('todos').select('*')
    assert.deepEqual([rows.status, rows.error.code], [401, 'PGRST303'])
    assert.ok(rows.error.message)
    const called = await supabase.functions.invoke('hello', { body: { name: 'x' } })
    assert.equal(called.error.name, 'FunctionsRelayError')
    assert.equal(called.error.context.status, 401)
    assert.equal(upstream.seen.length, 0)
  })

  it('a limit that is reached: 429 once, not retried', async (t) => {
    const upstream = await standIn(t)
    const plans = { default: 'free', tiers: { free: { default: [{ name: 'burst', rate: '60/hour', burst: 2 }] } } }
    const jotgate = await gateway(t, { url: upstream.url, settings: { plans } })
    const token = await upstream.issuer.token('ES256')
    const supabase = client(jotgate.url, PUBLISHABLE, { accessToken: async () => token })
    const statuses = []
    for (let i = 0; i < 4; i++) statuses.push((await supabase.from('todos').select('*')).status)
    assert.deepEqual(statuses, [200, 200, 429, 429])
    const refused = await supabase.from('todos').select('*')
    assert.equal(refused.error.code, 'rate_limited')
    const called = await supabase.functions.invoke('hello', { body: { name: 'x' } })
    assert.equal(called.error.context.status, 429)
    assert.ok(Number(called.error.context.headers.get('retry-after')) > 0)
    assert.equal(upstream.seen.length, 2)
  })

  it('a login that is refused by a limit is an error that auth-js knows', async (t) => {
    const upstream = await standIn(t)
    const jotgate = await gateway(t, { url: upstream.url, env: { LIMIT_PER_IP: '1/hour' } })
    const supabase = client(jotgate.url, PUBLISHABLE)
    await supabase.auth.signInWithPassword({ email: 'a@b.c', password: 'x' })
    const second = await supabase.auth.signInWithPassword({ email: 'a@b.c', password: 'x' })
    assert.deepEqual([second.error.status, second.error.code], [429, 'over_request_rate_limit'])
  })
})
