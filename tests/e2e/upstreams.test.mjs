// SPDX-License-Identifier: MIT
// Servers that we did not write: nginx over http and https with a private authority, Deno's and Node's. What the caller
// sent arrives exactly; 200 MiB pass up and down while the gateway stays small.
import assert from 'node:assert/strict'
import { X509Certificate, createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { WebSocket } from 'ws'
import { describe, it } from 'node:test'
import { authority, deno, freePort, gateway, issuer, json, mostMemory, nginx, project, raw, server, until } from './lib.mjs'

const MIB = 1 << 20
const BIG = 200 * MIB
const GROWTH = 8 * MIB
const SITE = (port, more = '') => `server { listen 127.0.0.1:${port}${more ? ' ssl' : ''}; root @FOLDER@/data; ${more} }`
const route = (upstream, more = {}) => ({ routes: [{ path: '/site', strip: '/site', access: 'open', upstream, limits: [], ...more }] })

const hashOf = async (stream) => {
  const hash = createHash('sha256')
  for await (const piece of stream) hash.update(piece)
  return hash.digest('hex')
}

/** n bytes that differ, in pieces of 64 KiB; the same each time. */
function* bytes(n) {
  const piece = Buffer.alloc(65536)
  for (let i = 0; i < n; i += piece.length) {
    piece.writeUInt32LE(i >>> 0, 0)
    yield Buffer.from(piece.subarray(0, Math.min(piece.length, n - i)))
  }
}

/** Until the stream takes more, or is gone. */
async function drained(stream) {
  const done = new AbortController()
  const { signal } = done
  await Promise.race([once(stream, 'drain', { signal }), once(stream, 'close', { signal })]).catch(() => {})
  done.abort()
}

/** A PUT of n bytes without fetch, so that back-pressure is the socket's own. */
async function upload(url, n, headers = {}) {
  const request = http.request(url, { method: 'PUT', agent: false, headers })
  const answered = once(request, 'response')
  for (const piece of bytes(n)) if (!request.write(piece)) await once(request, 'drain')
  request.end()
  const [response] = await answered
  response.resume()
  await once(response, 'end')
  return response.statusCode
}

async function download(url) {
  const request = http.request(url, { agent: false }).end()
  const [response] = await once(request, 'response')
  return { status: response.statusCode, hash: await hashOf(response) }
}

/** Sends one request with everything that must arrive, through the gateway. */
const EXACT = { method: 'PATCH', path: '/a%20b/%E2%82%AC;v=1//x?select=*&id=in.(1,2)&q=a+b%2Fc&&=', headers: ['X-One', '1', 'X-One', '2', 'Prefer', 'return=minimal', 'X-Empty', ''] }
async function exact(jotgate, body) {
  const request = http.request(`${jotgate.url}/site${EXACT.path}`, { method: EXACT.method, agent: false, headers: [...EXACT.headers, 'Host', 'gateway.test', 'Content-Length', body.length] })
  request.end(body)
  const [response] = await once(request, 'response')
  const parts = []
  for await (const part of response) parts.push(part)
  return { status: response.statusCode, body: Buffer.concat(parts) }
}

describe('nginx', () => {
  it('over http: the request line and fields arrive as they were sent', async (t) => {
    const port = await freePort()
    const site = await nginx(t, SITE(port, ''), port)
    const jotgate = await gateway(t, { url: (await project(t)).url, settings: route(`http://127.0.0.1:${port}`) })
    await exact(jotgate, Buffer.from('hello'))
    await until(() => site.log().length > 0, 'the access log')
    const [seen] = site.log()
    assert.equal(seen.line, `${EXACT.method} ${EXACT.path} HTTP/1.1`)
    assert.equal(seen.prefer, 'return=minimal')
    assert.match(seen.one, /^1(, ?2)?$/)
    assert.equal(seen.host, `127.0.0.1:${port}`)
  })

  it('over http: 200 MiB up and down, whole, and the gateway stays small', async (t) => {
    const port = await freePort()
    const site = await nginx(t, SITE(port), port)
    const jotgate = await gateway(t, { url: (await project(t)).url, settings: route(`http://127.0.0.1:${port}`) })
    assert.equal(await upload(`${jotgate.url}/site/warm`, MIB), 201)
    await download(`${jotgate.url}/site/warm`)
    const before = jotgate.rss()

    const up = await mostMemory(jotgate.rss, upload(`${jotgate.url}/site/big`, BIG, { 'content-length': BIG }))
    assert.equal(up.value, 201)
    const expected = await hashOf(bytes(BIG))
    assert.equal(await hashOf(createReadStream(`${site.data}/big`)), expected)
    assert.ok(up.most - before < GROWTH, `up: grew by ${(up.most - before) / MIB} MiB`)

    const chunked = await mostMemory(jotgate.rss, upload(`${jotgate.url}/site/chunked`, BIG))
    assert.equal(chunked.value, 201)
    assert.equal(statSync(`${site.data}/chunked`).size, BIG)
    assert.ok(chunked.most - before < GROWTH, `up in chunks: grew by ${(chunked.most - before) / MIB} MiB`)

    const down = await mostMemory(jotgate.rss, download(`${jotgate.url}/site/big`))
    assert.deepEqual(down.value, { status: 200, hash: expected })
    assert.ok(down.most - before < GROWTH, `down: grew by ${(down.most - before) / MIB} MiB`)
  })

  it('ranges and conditions are the upstream’s business', async (t) => {
    const port = await freePort()
    const site = await nginx(t, SITE(port), port)
    writeFileSync(`${site.data}/file`, '0123456789')
    const jotgate = await gateway(t, { url: (await project(t)).url, settings: route(`http://127.0.0.1:${port}`) })
    const part = await fetch(`${jotgate.url}/site/file`, { headers: { range: 'bytes=2-4' } })
    assert.deepEqual([part.status, part.headers.get('content-range'), await part.text()], [206, 'bytes 2-4/10', '234'])
    const unchanged = await fetch(`${jotgate.url}/site/file`, { headers: { 'if-none-match': part.headers.get('etag') } })
    assert.equal(unchanged.status, 304)
    const head = await fetch(`${jotgate.url}/site/file`, { method: 'HEAD' })
    assert.deepEqual([head.status, head.headers.get('content-length')], [200, '10'])
  })
})

describe('nginx over https with a private authority', () => {
  const tls = (files) => `ssl_certificate ${files.cert}; ssl_certificate_key ${files.key};`

  it('is trusted when SSL_CERT_FILE says so: keys, requests, 200 MiB each way', async (t) => {
    const files = authority(t, 'DNS:localhost')
    const port = await freePort()
    const keys = await issuer(`https://localhost:${port}/auth/v1`)
    const site = await nginx(t, SITE(port, tls(files)), port, 'types { application/json json; }')
    mkdirSync(`${site.data}/auth/v1/.well-known`, { recursive: true })
    writeFileSync(`${site.data}/auth/v1/.well-known/jwks.json`, JSON.stringify(keys.jwks))
    const url = `https://localhost:${port}`
    const jotgate = await gateway(t, { url, settings: route(url, { access: 'user' }), env: { SSL_CERT_FILE: files.ca } })
    const headers = { authorization: `Bearer ${await keys.token('ES256')}` }

    assert.equal(await upload(`${jotgate.url}/site/big`, MIB), 401)
    assert.equal(await upload(`${jotgate.url}/site/warm`, MIB, headers), 201)
    const before = jotgate.rss()
    const up = await mostMemory(jotgate.rss, upload(`${jotgate.url}/site/big`, BIG, headers))
    assert.equal(up.value, 201)
    const expected = await hashOf(bytes(BIG))
    assert.equal(await hashOf(createReadStream(`${site.data}/big`)), expected)
    const request = http.request(`${jotgate.url}/site/big`, { agent: false, headers }).end()
    const [response] = await once(request, 'response')
    const down = await mostMemory(jotgate.rss, hashOf(response))
    assert.equal(down.value, expected)
    for (const { most } of [up, down]) assert.ok(most - before < GROWTH, `grew by ${(most - before) / MIB} MiB`)
    assert.equal(site.log().filter((line) => line.line.includes('/big')).length, 2)
  })

  for (const [why, names, trusted, days] of [
    ['an authority that nobody knows', 'DNS:localhost', false, 2],
    ['another host’s name', 'DNS:other.test', true, 2],
    ['an address where a name is asked for', 'IP:127.0.0.1', true, 2],
    ['a time that is over', 'DNS:localhost', true, 0],
  ]) {
    it(`a certificate with ${why} is 502, and no request is sent`, async (t) => {
      const files = authority(t, names, days)
      // Of no days: valid for the second in which it was made.
      if (days === 0) await until(() => new Date(new X509Certificate(readFileSync(files.cert)).validTo) < new Date(), 'its end')
      const port = await freePort()
      const site = await nginx(t, SITE(port, tls(files)), port)
      const env = trusted ? { SSL_CERT_FILE: files.ca } : {}
      const jotgate = await gateway(t, { url: (await project(t)).url, settings: route(`https://localhost:${port}`), env })
      const answer = await fetch(`${jotgate.url}/site/x`)
      assert.equal(answer.status, 502)
      assert.equal((await answer.json()).code, 'upstream_unreachable')
      assert.deepEqual(site.log(), [])
    })
  }
})

const DENO = `
const server = Deno.serve({ port: 0, hostname: '127.0.0.1', onListen: ({ port }) => console.log('port ' + port) }, async (request) => {
  const url = new URL(request.url)
  if (url.pathname === '/sse') {
    let n = 0, timer
    const body = new ReadableStream({
      start(c) { timer = setInterval(() => { c.enqueue(new TextEncoder().encode('data: ' + n++ + '\\n\\n')); if (n === 5) { clearInterval(timer); c.close() } }, 50) },
      cancel() { clearInterval(timer) },
    })
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
  }
  const data = new Uint8Array(await request.arrayBuffer())
  const hash = Array.from(new Uint8Array(await crypto.subtle.digest('SHA-256', data)), (b) => b.toString(16).padStart(2, '0')).join('')
  return Response.json({ method: request.method, path: url.pathname + url.search, one: request.headers.get('x-one'), prefer: request.headers.get('prefer'), bytes: data.length, hash })
})`

describe('Deno', () => {
  it('sees what was sent, and its events come as they are sent', async (t) => {
    const functions = await deno(t, DENO)
    const jotgate = await gateway(t, { url: (await project(t)).url, settings: route(functions.url) })
    const body = randomBytes(3 * MIB)
    const seen = JSON.parse((await exact(jotgate, body)).body)
    assert.deepEqual(
      { ...seen, path: undefined },
      { method: EXACT.method, path: undefined, one: '1, 2', prefer: 'return=minimal', bytes: body.length, hash: createHash('sha256').update(body).digest('hex') },
    )
    const times = []
    const events = await fetch(`${jotgate.url}/site/sse`)
    let text = ''
    for await (const part of events.body) {
      times.push(Date.now())
      text += Buffer.from(part)
    }
    assert.equal(text, [0, 1, 2, 3, 4].map((n) => `data: ${n}\n\n`).join(''))
    assert.ok(times.at(-1) - times[0] >= 100, 'the events came all at once')
  })
})

describe('Node', () => {
  it('sees exactly the bytes of the request', async (t) => {
    const upstream = await server(t, async (request, response) => {
      json(response, { method: request.method, url: request.url, raw: request.rawHeaders, hash: await hashOf(request) })
    })
    const jotgate = await gateway(t, { url: (await project(t)).url, settings: route(upstream.url) })
    const body = randomBytes(MIB)
    const seen = JSON.parse((await exact(jotgate, body)).body)
    assert.deepEqual([seen.method, seen.url], [EXACT.method, EXACT.path])
    assert.equal(seen.hash, createHash('sha256').update(body).digest('hex'))
    const pairs = seen.raw.flatMap((value, i) => (i % 2 ? [] : [[value.toLowerCase(), seen.raw[i + 1]]]))
    const ours = pairs.filter(([name]) => ['x-one', 'prefer', 'x-empty'].includes(name))
    assert.deepEqual(ours, [['x-one', '1'], ['x-one', '2'], ['prefer', 'return=minimal'], ['x-empty', '']])
  })

  it('a slow reader and a slow writer hold no memory', async (t) => {
    let sent = 0
    const upstream = await server(t, async (request, response) => {
      if (request.method === 'PUT') return // never reads
      response.writeHead(200, { 'content-length': BIG })
      for (const piece of bytes(BIG)) {
        if (response.destroyed) return
        if (!response.write(piece)) await drained(response)
        sent += piece.length
      }
      response.end()
    })
    const jotgate = await gateway(t, { url: (await project(t)).url, settings: route(upstream.url) })
    await fetch(`${jotgate.url}/_jotgate/health`)
    const before = jotgate.rss()

    const standsStill = (count) => {
      let last = -1
      return async () => {
        const now = count()
        await new Promise((resolve) => setTimeout(resolve, 300))
        const still = now > 0 && now === last && now === count()
        last = now
        return still
      }
    }
    const readers = []
    for (let i = 0; i < 4; i++) {
      const request = http.request(`${jotgate.url}/site/x`, { agent: false }).end()
      const [response] = await once(request, 'response')
      response.pause()
      readers.push(request)
    }
    await until(standsStill(() => sent), 'back-pressure from the readers')
    assert.ok(sent < 4 * BIG)
    assert.ok(jotgate.rss() - before < GROWTH, `slow readers: grew by ${(jotgate.rss() - before) / MIB} MiB`)
    for (const request of readers) request.destroy()

    const writer = http.request(`${jotgate.url}/site/x`, { method: 'PUT', agent: false, headers: { 'content-length': BIG } })
    writer.on('error', () => {})
    let pushed = 0
    for (const piece of bytes(BIG)) {
      if (!writer.write(piece)) {
        const drained = await Promise.race([once(writer, 'drain'), new Promise((resolve) => setTimeout(resolve, 1500, null))])
        if (!drained) break
      }
      pushed += piece.length
    }
    assert.ok(pushed < BIG, 'the whole body was taken while the upstream read nothing')
    assert.ok(jotgate.rss() - before < GROWTH, `slow writer: grew by ${(jotgate.rss() - before) / MIB} MiB`)
    writer.destroy()
  })

  it('a client that leaves is told to the upstream within a second', async (t) => {
    let closedAt
    const upstream = await server(t, (request, response) => response.on('close', () => (closedAt = Date.now())))
    const jotgate = await gateway(t, { url: (await project(t)).url, settings: route(upstream.url) })
    const request = http.request(`${jotgate.url}/site/x`, { agent: false }).end()
    request.on('error', () => {})
    await until(() => upstream.requests.length === 1, 'the request')
    const leftAt = Date.now()
    request.destroy()
    await until(() => closedAt, 'the upstream’s connection to close')
    assert.ok(closedAt - leftAt < 1000, `${closedAt - leftAt} ms`)
  })

  it('knows no upgrade unless it is told to, and its plain answer is passed on', async (t) => {
    const jotgate = await gateway(t, { url: (await project(t)).url })
    const socket = new WebSocket(`${jotgate.url.replace('http', 'ws')}/realtime/v1/websocket?apikey=x`)
    socket.on('error', () => {})
    const [, response] = await once(socket, 'unexpected-response')
    assert.equal(response.statusCode, 200)
    let body = ''
    for await (const piece of response) body += piece
    assert.equal(JSON.parse(body).url, '/realtime/v1/websocket?apikey=x')
  })

  it('idle, it is at most 20 MiB', async (t) => {
    const jotgate = await gateway(t, { url: (await project(t)).url })
    assert.ok(jotgate.rss() <= 20 * MIB, `${jotgate.rss() / MIB} MiB`)
    assert.match((await raw(jotgate.port, 'GET /_jotgate/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')).toString(), /^HTTP\/1\.1 200 /)
  })
})
