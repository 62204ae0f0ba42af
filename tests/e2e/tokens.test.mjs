// SPDX-License-Identifier: MIT
// Tokens signed by jose against keys served by jose: they pass; the same with anything changed do not, and nothing of
// those reaches the upstream.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { SignJWT, UnsecuredJWT, exportSPKI, generateKeyPair } from 'jose'
import { SECRET, gateway, project, scope } from './lib.mjs'

const ALGORITHMS = ['ES256', 'RS256', 'EdDSA', 'HS256']
const now = () => Math.floor(Date.now() / 1000)

describe('tokens of jose', () => {
  let jotgate, upstream
  const ask = (token) => fetch(`${jotgate.url}/mine`, { headers: { authorization: `Bearer ${token}` } })

  async function refused(token, why) {
    const n = upstream.seen.length
    const answer = await ask(token)
    const body = await answer.json()
    assert.equal(answer.status, 401, `${why}: ${JSON.stringify(body)}`)
    assert.match(answer.headers.get('www-authenticate') ?? '', /error="invalid_token"/, why)
    assert.equal(upstream.seen.length, n, `${why}: the upstream saw it`)
  }

  const suite = scope()
  after(suite.close)
  before(async () => {
    upstream = await project(suite)
    jotgate = await gateway(suite, {
      url: upstream.url,
      settings: { routes: [{ path: '/mine', access: 'user', upstream: upstream.url, limits: [] }] },
      env: { SUPABASE_JWT_SECRET: SECRET },
    })
  })

  for (const alg of ALGORITHMS) {
    it(`${alg} passes, again and again`, async () => {
      const token = await upstream.issuer.token(alg)
      for (let i = 0; i < 3; i++) {
        const answer = await ask(token)
        assert.equal(answer.status, 200)
        assert.equal((await answer.json()).headers.authorization, `Bearer ${token}`)
      }
    })

    it(`${alg} with one bit changed anywhere is refused`, async () => {
      const token = await upstream.issuer.token(alg)
      const bytes = Buffer.from(token)
      // Every character of the token once, another bit each time; what is no base64url any more must be refused as well.
      for (let at = 0; at < bytes.length; at++) {
        const changed = Buffer.from(bytes)
        changed[at] ^= 1 << at % 7
        const text = changed.toString('latin1')
        if (/[^\x21-\x7e]/.test(text)) continue // fetch would not send it
        await refused(text, `bit ${at % 7} of character ${at}`)
      }
    })

    it(`${alg} out of its time, for somebody else, from somebody else is refused`, async () => {
      const { token, iss } = upstream.issuer
      await refused(await token(alg, { exp: now() - 60 }), 'expired')
      await refused(await token(alg, { exp: undefined }), 'without exp')
      await refused(await token(alg, { nbf: now() + 120 }), 'not yet valid')
      await refused(await token(alg, { iat: now() + 120 }), 'issued in the future')
      await refused(await token(alg, { aud: 'other' }), 'another audience')
      await refused(await token(alg, { aud: undefined }), 'without audience')
      await refused(await token(alg, { iss: 'https://other.test/auth/v1' }), 'another issuer')
      await refused(await token(alg, { iss: iss + '/' }), 'an issuer with a slash')
      await refused(await token(alg, { iss: undefined }), 'without issuer')
    })
  }

  it('another algorithm in the header is refused', async () => {
    const { token, pairs } = upstream.issuer
    for (const alg of ALGORITHMS) {
      const [head, payload, signature] = (await token(alg)).split('.')
      const header = JSON.parse(Buffer.from(head, 'base64url'))
      for (const other of [...ALGORITHMS, 'none', 'ES384', 'RS512', 'PS256', 'HS512']) {
        if (other === alg) continue
        const swapped = Buffer.from(JSON.stringify({ ...header, alg: other })).toString('base64url')
        await refused(`${swapped}.${payload}.${signature}`, `${alg} said to be ${other}`)
      }
    }
    for (const kid of Object.values(pairs).map((pair) => pair.kid)) {
      await refused(await new SignJWT(upstream.issuer.claims()).setProtectedHeader({ alg: 'HS256', kid }).sign(new TextEncoder().encode('x'.repeat(40))), 'HS256 with a kid')
    }
  })

  it('a public key used as a secret is refused', async () => {
    for (const { publicKey, kid } of Object.values(upstream.issuer.pairs)) {
      const pem = await exportSPKI(publicKey)
      for (const secret of [pem, pem.trim(), '\n' + pem]) {
        await refused(await new SignJWT(upstream.issuer.claims()).setProtectedHeader({ alg: 'HS256', kid }).sign(new TextEncoder().encode(secret)), 'confusion')
      }
    }
  })

  it('an unsecured token and a stranger’s key are refused', async () => {
    await refused(new UnsecuredJWT(upstream.issuer.claims()).encode(), 'alg none')
    const { privateKey } = await generateKeyPair('ES256')
    const kid = upstream.issuer.pairs.ES256.kid
    await refused(await new SignJWT(upstream.issuer.claims()).setProtectedHeader({ alg: 'ES256', kid }).sign(privateKey), 'a stranger')
  })
})
