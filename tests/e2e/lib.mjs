// SPDX-License-Identifier: MIT
// What the e2e tests share: the gateway as a process, a stand-in project whose keys are made by jose, nginx, Deno, Node.
import { spawn, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync, chmodSync, existsSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { randomUUID } from 'node:crypto'
import { SignJWT, exportJWK, generateKeyPair } from 'jose'

const ROOT = path.resolve(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), '../..')
const PROGRAM = process.env.JOTGATE ?? path.join(ROOT, 'build', 'jotgate')
const OURS = /^(SUPABASE_|LIMIT|REDIS_|JOTGATE_|FLY_|PORT$|SSL_CERT_)/

export const DEADLINE_MS = 20_000

/** A port that was free a moment ago, below the range that the kernel gives to clients. */
export async function freePort() {
  for (;;) {
    const port = 10000 + Math.floor(Math.random() * 22000)
    const server = net.createServer()
    const free = await new Promise((resolve) => server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true)))
    if (free) {
      await new Promise((resolve) => server.close(resolve))
      return port
    }
  }
}

/** Until condition() is true, asked again and again; fails at the deadline. */
export async function until(condition, what, ms = DEADLINE_MS) {
  for (const end = Date.now() + ms; ; ) {
    if (await condition()) return
    if (Date.now() > end) throw new Error(`waited ${ms} ms for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 15))
  }
}

/** Stands for a test's context where a whole suite shares what is started: close() ends it all, last first, whatever cannot be ended. */
export function scope() {
  const list = []
  return {
    after: (f) => list.push(f),
    close: async () => {
      const failures = []
      for (const f of list.splice(0).reverse()) {
        try {
          await f()
        } catch (failure) {
          failures.push(failure)
        }
      }
      if (failures.length > 0) throw failures[0]
    },
  }
}

export const temporaryFolder = (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'jotgate-e2e-'))
  chmodSync(folder, 0o755)
  // A browser that was ended has children that still write for a moment.
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }))
  return folder
}

async function ended(child, ms = DEADLINE_MS) {
  if (child.exitCode !== null || child.signalCode !== null) return
  const timer = setTimeout(() => child.kill('SIGKILL'), ms)
  await once(child, 'exit')
  clearTimeout(timer)
}

/** A child process that is gone when the test is; `signal` asks it to go. */
export function start(t, command, args, options = {}, signal = 'SIGTERM') {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
  child.said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (child.said = (child.said + data).slice(-20_000)))
  t.after(async () => {
    child.kill(signal)
    await ended(child)
  })
  return child
}

const answers = (url, status = 200) =>
  fetch(url).then((r) => r.arrayBuffer().then(() => r.status === status), () => false)

/** The gateway before `project`: {url, admin, pid, rss(), child, run()}; run(...) is another command with its settings: what that prints. */
export async function gateway(t, { url, settings = {}, env = {}, ready = true }) {
  const [port, adminPort] = [await freePort(), await freePort()]
  const file = path.join(temporaryFolder(t), 'jotgate.yaml')
  const all = {
    listen: `127.0.0.1:${port}`, admin: `127.0.0.1:${adminPort}`, workers: 2, drain: { delay: '0s', timeout: '3s' },
    supabase: { url }, auth_failures: { rate: '1000000/minute' }, ...settings, // one address sends all that is bad here
  }
  writeFileSync(file, JSON.stringify(all, null, 1)) // JSON is YAML
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !OURS.test(name)))
  const child = start(t, PROGRAM, ['run', '-c', file], { env: { ...clean, ...env } })
  const me = { url: `${settings.tls ? 'https' : 'http'}://127.0.0.1:${port}`, admin: `http://127.0.0.1:${adminPort}`, port, pid: child.pid, child }
  me.run = (...words) => execFileSync(PROGRAM, [...words, '-c', file], { env: { ...clean, ...env }, stdio: 'pipe', timeout: DEADLINE_MS }).toString()
  me.rss = () => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))[1]) * 1024
  const alive = () => {
    if (child.exitCode !== null) throw new Error(`jotgate ended with ${child.exitCode}:\n${child.said}`)
  }
  if (!settings.tls) await until(() => (alive(), answers(`${me.url}/_jotgate/health`)), 'the gateway to listen') // else the test's authority is unknown here
  if (ready) await until(() => (alive(), answers(`${me.admin}/readyz`)), '/readyz')
  return me
}

export const SECRET = 'a-legacy-secret-of-more-than-32-bytes-for-tests'

/** Keys and tokens as jose makes them. */
export async function issuer(iss, algorithms = ['ES256', 'RS256', 'EdDSA']) {
  const pairs = {}
  for (const alg of algorithms) {
    const pair = await generateKeyPair(alg, { extractable: true, ...(alg === 'EdDSA' ? { crv: 'Ed25519' } : {}) })
    pairs[alg] = { ...pair, kid: randomUUID() }
  }
  const jwks = { keys: [] }
  for (const [alg, { publicKey, kid }] of Object.entries(pairs)) {
    jwks.keys.push({ ...(await exportJWK(publicKey)), kid, alg, use: 'sig', key_ops: ['verify'], ext: true })
  }
  const claims = (changes = {}) => {
    const now = Math.floor(Date.now() / 1000)
    const all = {
      iss, aud: 'authenticated', role: 'authenticated', sub: randomUUID(), iat: now, exp: now + 3600, aal: 'aal1',
      session_id: randomUUID(), is_anonymous: false, email: 'ada@example.com', app_metadata: { provider: 'email' }, user_metadata: {},
      ...changes,
    }
    return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
  }
  const token = (alg, changes, header = {}) => {
    const key = alg.startsWith('HS') ? new TextEncoder().encode(SECRET) : pairs[alg].privateKey
    const kid = alg.startsWith('HS') ? {} : { kid: pairs[alg].kid }
    return new SignJWT(claims(changes)).setProtectedHeader({ alg, typ: 'JWT', ...kid, ...header }).sign(key)
  }
  return { iss, pairs, jwks, claims, token }
}

/** An HTTP server by Node on a free port of loopback: {url, port, requests}. `handle(request, response)` answers. */
export async function server(t, handle) {
  const requests = []
  const it = http.createServer((request, response) => {
    requests.push(request)
    handle(request, response)
  })
  it.keepAliveTimeout = 60_000
  it.listen(0, '127.0.0.1')
  await once(it, 'listening')
  t.after(() => {
    it.closeAllConnections()
    it.close()
  })
  return { port: it.address().port, url: `http://127.0.0.1:${it.address().port}`, requests, server: it }
}

export const json = (response, body, status = 200, headers = {}) => {
  const text = JSON.stringify(body)
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...headers }).end(text)
}

/** A project: keys served by jose's owner over HTTP, everything else by `handle`; `seen` counts what is not about keys. */
export async function project(t, { handle, iss } = {}) {
  const me = await server(t, (request, response) => {
    if (request.url.endsWith('/.well-known/jwks.json')) return json(response, me.issuer.jwks, 200, { 'cache-control': 'public, max-age=600' })
    if (request.url.endsWith('/.well-known/openid-configuration')) return json(response, { issuer: me.issuer.iss, jwks_uri: me.issuer.iss + '/.well-known/jwks.json' })
    me.seen.push(request)
    if (handle) return handle(request, response)
    request.resume()
    return json(response, { method: request.method, url: request.url, headers: request.headers })
  })
  me.seen = []
  me.issuer = await issuer(iss ?? `${me.url}/auth/v1`)
  return me
}

/** nginx with these `server` bodies; `folder` is its root. */
export async function nginx(t, servers, port, extra = '') {
  const folder = temporaryFolder(t)
  const config = path.join(folder, 'nginx.conf')
  for (const name of ['data', 'body', 'temp']) execFileSync('mkdir', ['-p', path.join(folder, name)])
  execFileSync('chmod', ['-R', '777', folder])
  writeFileSync(
    config,
    `daemon off; master_process off; worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
events { worker_connections 256; }
http {
  log_format exact escape=json '{"line":"$request","host":"$http_host","one":"$http_x_one","prefer":"$http_prefer","bytes":"$request_length"}';
  access_log ${folder}/access.log exact;
  client_body_temp_path ${folder}/body; client_max_body_size 0; dav_methods PUT;
  proxy_temp_path ${folder}/temp; fastcgi_temp_path ${folder}/temp; uwsgi_temp_path ${folder}/temp; scgi_temp_path ${folder}/temp;
  ${extra}
  ${servers.replaceAll('@FOLDER@', folder)}
}`,
  )
  const child = start(t, existsSync('/usr/sbin/nginx') ? '/usr/sbin/nginx' : 'nginx', ['-p', folder, '-e', `${folder}/error.log`, '-c', config])
  const listens = () =>
    new Promise((resolve, reject) => {
      if (child.exitCode !== null) return reject(new Error(`nginx ended: ${child.said}`))
      const socket = net.connect(port, '127.0.0.1', () => resolve((socket.destroy(), true))).on('error', () => resolve(false))
    })
  await until(listens, 'nginx')
  return {
    folder,
    data: path.join(folder, 'data'),
    log: () => readFileSync(path.join(folder, 'access.log'), 'utf8').trim().split('\n').filter(Boolean).map((line) => JSON.parse(line)),
  }
}

/** A redis-server of its own: its URL. */
export async function redis(t) {
  const port = await freePort()
  start(t, 'redis-server', ['--bind', '127.0.0.1', '--port', String(port), '--save', '', '--dir', temporaryFolder(t)])
  const listens = () =>
    new Promise((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => resolve((socket.destroy(), true))).on('error', () => resolve(false))
    })
  await until(listens, 'redis-server')
  return `redis://127.0.0.1:${port}`
}

/** Deno running `source`, which must print the port that it listens on; it sees the variables of `env`. */
export async function deno(t, source, env = {}) {
  const folder = temporaryFolder(t)
  const packages = path.join(ROOT, 'tests/e2e/node_modules/@deno')
  const binary = readdirSync(packages).map((name) => path.join(packages, name, 'deno')).find(existsSync)
  writeFileSync(path.join(folder, 'server.ts'), source)
  const child = start(t, binary, ['run', '--no-remote', '--allow-net', `--allow-env=${Object.keys(env).join(',') || 'NONE'}`, path.join(folder, 'server.ts')], {
    env: { ...process.env, ...env, DENO_DIR: folder, NO_COLOR: '1', DENO_NO_UPDATE_CHECK: '1' },
  })
  let port
  await until(() => {
    if (child.exitCode !== null) throw new Error(`deno ended: ${child.said}`)
    port = /port (\d+)/.exec(child.said)?.[1]
    return Boolean(port)
  }, 'Deno')
  return { port: Number(port), url: `http://127.0.0.1:${port}` }
}

/** A private authority and a certificate for `names`: {ca, cert, key} as files. */
export function authority(t, names, days = 2) {
  const folder = temporaryFolder(t)
  const at = (name) => path.join(folder, name)
  const openssl = (...args) => execFileSync('openssl', args, { stdio: 'pipe' })
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  openssl('req', '-x509', ...ec, '-keyout', at('ca.key'), '-out', at('ca.pem'), '-days', '2', '-subj', '/CN=A private authority',
    '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign')
  openssl('req', ...ec, '-keyout', at('key.pem'), '-out', at('request.pem'), '-subj', '/CN=upstream')
  writeFileSync(at('names'), `subjectAltName=${names}\nbasicConstraints=CA:FALSE\n`)
  openssl('x509', '-req', '-in', at('request.pem'), '-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-days', String(days),
    '-extfile', at('names'), '-out', at('cert.pem'))
  return { ca: at('ca.pem'), cert: at('cert.pem'), key: at('key.pem') }
}

/** Exactly these bytes; everything that comes until the connection ends. */
export function raw(port, bytes) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(bytes))
    const parts = []
    socket.setTimeout(DEADLINE_MS, () => socket.destroy(new Error('no answer')))
    socket.on('data', (data) => parts.push(data)).on('error', reject).on('close', () => resolve(Buffer.concat(parts)))
  })
}

/** The most that rss() says until the promise is settled, and what it was settled with. */
export async function mostMemory(rss, promise) {
  let most = rss()
  const timer = setInterval(() => (most = Math.max(most, rss())), 10)
  try {
    return { value: await promise, most }
  } finally {
    clearInterval(timer)
  }
}
