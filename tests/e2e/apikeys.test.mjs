// SPDX-License-Identifier: MIT
// An API key through the gateway to PostgreSQL: `credential: user` shows row-level security the user behind it, and no other.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createClient } from '@supabase/supabase-js'
import { exportJWK } from 'jose'
import { WebSocket } from 'ws'
import { gateway, redis, scope, until } from './lib.mjs'
import { PUBLISHABLE, standIn } from './standin.mjs'

const all = scope()
let project, jotgate, users = 0

before(async () => {
  project = await standIn(all)
  const { privateKey, kid } = project.issuer.pairs.ES256
  const signing = { ...(await exportJWK(privateKey)), kid, alg: 'ES256', use: 'sig', key_ops: ['sign', 'verify'] }
  jotgate = await gateway(all, {
    url: project.url,
    settings: { routes: [{ path: '/rest/v1', access: 'apikey', credential: 'user', limits: [] }] },
    env: { REDIS_URL: await redis(all), SUPABASE_SIGNING_KEY: JSON.stringify(signing), SUPABASE_PUBLISHABLE_KEY: PUBLISHABLE },
  })
})
after(() => all.close())

const client = (key) => createClient(jotgate.url, key, { auth: { persistSession: false, autoRefreshToken: false }, realtime: { transport: WebSocket } })
const createKey = (subject) => jotgate.run('apikeys', 'create', '--subject', subject).trim()

const good = ({ data, error }) => {
  assert.equal(error, null)
  return data
}

/** Somebody new, with a row: {supabase, user, title}. */
async function signedUp() {
  const supabase = client(PUBLISHABLE)
  const { user } = good(await supabase.auth.signUp({ email: `key-user-${++users}@example.com`, password: 'a-long-password' }))
  const title = `of ${user.email}`
  good(await supabase.from('todos').insert({ title }))
  return { supabase, user, title }
}

describe('an API key', () => {
  it('reaches the rows of its user and no other’s', async () => {
    const [ada, eve] = [await signedUp(), await signedUp()]
    for (const { user, title } of [ada, eve]) {
      const withKey = client(createKey(user.id))
      assert.deepEqual(good(await withKey.from('todos').select('title, owner')), [{ title, owner: user.id }])
    }
    const [withKey, title] = [client(createKey(ada.user.id)), 'written with a key']
    assert.deepEqual(good(await withKey.from('todos').insert({ title }).select('title, owner')), [{ title, owner: ada.user.id }])
    const stolen = await withKey.from('todos').insert({ title: 'x', owner: eve.user.id })
    assert.deepEqual([stolen.status, stolen.error.code], [403, '42501'])
    assert.deepEqual(good(await eve.supabase.from('todos').select('title')), [{ title: eve.title }])
    assert.equal(good(await ada.supabase.from('todos').select('title')).length, 2)
  })

  it('is not seen by the project, and the token is good for a minute', async () => {
    const { user } = await signedUp()
    const key = createKey(user.id)
    good(await client(key).from('todos').select('title'))
    const { headers } = project.seen.at(-1)
    assert.ok(!JSON.stringify(headers).includes(key))
    assert.equal(headers.apikey, PUBLISHABLE)
    const claims = JSON.parse(Buffer.from(headers.authorization.split('.')[1], 'base64url'))
    assert.deepEqual([claims.sub, claims.exp - claims.iat], [user.id, 60])
  })

  it('is over when it is revoked', async () => {
    const { user } = await signedUp()
    const key = createKey(user.id)
    good(await client(key).from('todos').select('title'))
    jotgate.run('apikeys', 'revoke', key)
    await until(async () => (await client(key).from('todos').select('title')).status === 401, 'the key to be refused')
  })
})
