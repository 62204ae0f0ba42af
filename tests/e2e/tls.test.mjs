// SPDX-License-Identifier: MIT
// The public listener's own TLS, met by clients that people use: curl, Node's https, and fetch (undici) in a process that trusts the authority.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { authority, gateway, project, scope, temporaryFolder } from './lib.mjs'

const MIB = 1 << 20
const run = promisify(execFile)
const all = scope()
let me, site, first, second

before(async () => {
  ;[first, second] = [authority(all, 'DNS:localhost,IP:127.0.0.1'), authority(all, 'DNS:api.example.test')]
  site = await project(all, {
    handle: async (request, response) => {
      const pieces = []
      for await (const piece of request) pieces.push(piece)
      const hash = createHash('sha256').update(Buffer.concat(pieces)).digest('hex')
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ method: request.method, headers: request.headers, hash }))
    },
  })
  const tls = [first, second].map(({ cert, key }) => ({ certificate: cert, key }))
  me = await gateway(all, { url: site.url, settings: { tls } })
})
after(() => all.close())

describe('curl', () => {
  const NAME = 'api.example.test'
  const curl = (ca, ...more) => run('curl', ['-sS', '--max-time', '20', '--cacert', ca, '--resolve', `${NAME}:${me.port}:127.0.0.1`, ...more])
  const facts = '\n%{http_version} %{ssl_verify_result} %{num_connects}\n'

  it('is shown the certificate of the name that it asks for, and speaks HTTP/1.1 by ALPN', async () => {
    for (const [ca, name] of [[first.ca, 'localhost'], [second.ca, NAME]]) {
      const token = await site.issuer.token('ES256')
      const url = `https://${name}:${me.port}/rest/v1/x`
      const { stdout } = await curl(ca, '-4', '--http2', '-H', `Authorization: Bearer ${token}`, '-w', facts, url, url)
      const [one, said, two, again] = stdout.trim().split('\n')
      assert.deepEqual([said, again], ['1.1 0 1', '1.1 0 0']) // and the connection is kept
      for (const { headers } of [JSON.parse(one), JSON.parse(two)])
        assert.deepEqual([headers['x-forwarded-proto'], headers['x-forwarded-host']], ['https', `${name}:${me.port}`])
    }
  })

  it('speaks TLS 1.2 and 1.3, and nothing older', async () => {
    for (const version of ['1.2', '1.3']) {
      const { stdout, stderr } = await curl(first.ca, '-v', `--tlsv${version}`, '--tls-max', version, `https://127.0.0.1:${me.port}/_jotgate/health`)
      assert.match(stdout, /"status"/)
      assert.match(stderr, new RegExp(`SSL connection using TLSv${version}`))
    }
    await assert.rejects(curl(first.ca, '--ciphers', 'ALL:@SECLEVEL=0', '--tlsv1.0', '--tls-max', '1.1', `https://127.0.0.1:${me.port}/`), { code: 35 })
  })

  it('does not trust a certificate of another authority', async () => {
    await assert.rejects(curl(second.ca, `https://127.0.0.1:${me.port}/`), { code: 60 })
  })

  it('sends an upload of 20 MiB in chunks', async () => {
    const file = path.join(temporaryFolder(all), 'upload')
    const bytes = randomBytes(20 * MIB)
    writeFileSync(file, bytes)
    const { stdout } = await curl(first.ca, '-T', file, '-H', 'Transfer-Encoding: chunked', `https://127.0.0.1:${me.port}/storage/v1/x`)
    assert.equal(JSON.parse(stdout).hash, createHash('sha256').update(bytes).digest('hex'))
  })
})

describe('Node', () => {
  const ask = async (options) => {
    const request = https.request({ host: '127.0.0.1', port: me.port, path: '/rest/v1/x', ...options }).end()
    const [response] = await once(request, 'response')
    const facts = { status: response.statusCode, protocol: response.socket.alpnProtocol, resumed: response.socket.isSessionReused() }
    response.resume()
    await once(response, 'end')
    return facts
  }

  it('chooses the certificate by SNI, and HTTP/1.1 by ALPN', async () => {
    const agent = false
    for (const [{ ca }, servername] of [[first, 'localhost'], [second, 'api.example.test']]) {
      const facts = await ask({ agent, ca: readFileSync(ca), servername, ALPNProtocols: ['h2', 'http/1.1'] })
      assert.deepEqual([facts.status, facts.protocol], [200, 'http/1.1'])
    }
    await assert.rejects(ask({ agent, ca: readFileSync(first.ca), servername: 'localhost', ALPNProtocols: ['h2'] }), /no application protocol/i)
    await assert.rejects(ask({ agent, ca: readFileSync(first.ca), servername: 'nobody.test' }), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
  })

  it('resumes its session on a connection that is new', async () => {
    const agent = new https.Agent({ keepAlive: false, ca: readFileSync(first.ca) })
    assert.equal((await ask({ agent })).resumed, false)
    assert.equal((await ask({ agent })).resumed, true)
  })

  it('fetches with undici: many at once with bodies, and a refusal', async () => {
    const program = `
      const url = 'https://localhost:${me.port}'
      const token = process.env.TOKEN
      const ask = (n) => fetch(url + '/rest/v1/' + n, { method: 'POST', body: 'x'.repeat(100000), headers: { authorization: 'Bearer ' + token } })
      const answers = await Promise.all(Array.from({ length: 40 }, (_, n) => ask(n)))
      const bodies = await Promise.all(answers.map((a) => a.json()))
      const forged = await fetch(url + '/rest/v1/x', { headers: { authorization: 'Bearer ' + token.slice(0, -4) + 'AAAA' } })
      console.log(JSON.stringify([answers.map((a) => a.status), new Set(bodies.map((b) => b.hash)).size, forged.status, (await forged.json()).code]))`
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: first.ca, TOKEN: await site.issuer.token('RS256') }
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program], { env, timeout: 60_000 })
    assert.deepEqual(JSON.parse(stdout), [Array(40).fill(200), 1, 401, 'bad_jwt'])
  })
})
