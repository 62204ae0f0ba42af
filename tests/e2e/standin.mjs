// SPDX-License-Identifier: MIT
// A stand-in Supabase project that does what a real one does: one origin, routed as Supabase's edge does it.
//
//   /auth /rest /storage  @supabase/lite (GoTrue, PostgREST and Storage compatible) in this process, on a PostgreSQL of its own
//   …/upload/resumable    @tus/server        /functions  Deno        /realtime  realtime.mjs
//
// Sessions are signed with ES256 and the key is published, as Supabase does; lite knows HS256 only, so the edge checks what comes
// and signs it once more for lite. Lite is asked through its fetch(), not through its own server, which on Node 20 loses downloads.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import path from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { App, setExperimental } from '@supabase/lite'
import { createPostgresConnection } from '@supabase/lite/postgres'
import { FileStore } from '@tus/file-store'
import { Server as Tus } from '@tus/server'
import { SignJWT, createLocalJWKSet, decodeJwt, jwtVerify } from 'jose'
import postgres from 'postgres'
import { SECRET, deno, freePort, issuer, json, server, start, temporaryFolder, until } from './lib.mjs'
import { realtime } from './realtime.mjs'

export const PUBLISHABLE = 'sb_publishable_abcdefghijklmnopqrstuv_12345678'
export const SECRET_KEY = 'sb_secret_abcdefghijklmnopqrstuv_12345678'
export const BUCKET = 'files'
const RESUMABLE = '/storage/v1/upload/resumable'

const ROLES = 'create role anon; create role authenticated; create role service_role bypassrls;'
const SCHEMA = `
create table todos (id bigint generated always as identity primary key, title text not null, owner uuid not null default auth.uid());
alter table todos enable row level security;
create policy "their own" on todos to authenticated using (owner = auth.uid()) with check (owner = auth.uid());
grant select on todos to anon; grant all on todos to authenticated;
create function add(a int, b int) returns int language sql as 'select a + b';
create policy "all users" on storage.objects to authenticated using (bucket_id = '${BUCKET}') with check (bucket_id = '${BUCKET}');
`

/** A PostgreSQL of Debian's in a folder of its own, gone with the test: its URL. PostgreSQL refuses to be root. */
async function cluster(t) {
  const bin = readdirSync('/usr/lib/postgresql').map((version) => `/usr/lib/postgresql/${version}/bin`).sort().at(-1)
  const folder = temporaryFolder(t)
  const data = path.join(folder, 'data')
  const port = await freePort()
  const as = process.getuid() === 0 ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups'] : []
  if (as.length) execFileSync('chown', ['postgres', folder])
  const [command, ...before] = [...as, `${bin}/initdb`]
  execFileSync(command, [...before, '-D', data, '-U', 'postgres', '-A', 'trust', '--no-sync', '-E', 'UTF8', '--locale=C'], { stdio: 'pipe', cwd: folder })
  const settings = ['listen_addresses=127.0.0.1', 'fsync=off', 'max_connections=40'].flatMap((setting) => ['-c', setting])
  const [first, ...rest] = [...as, `${bin}/postgres`, '-D', data, '-p', String(port), '-k', folder, ...settings]
  const child = start(t, first, rest, { cwd: folder }, 'SIGINT') // SIGTERM would wait for who is connected
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  await until(() => {
    if (child.exitCode !== null) throw new Error(`postgres ended: ${child.said}`)
    return sql`select 1`.then(() => true, () => false)
  }, 'PostgreSQL')
  t.after(() => sql.end({ timeout: 1 }))
  return { url, sql }
}

/** Lite keeps what is uploaded wherever it is told to: here, in memory. */
function bucketsInMemory() {
  const objects = new Map()
  const about = ({ bytes, type, cacheControl, at }) => ({
    cacheControl, contentLength: bytes.length, size: bytes.length, mimetype: type, lastModified: at,
    eTag: `"${createHash('md5').update(bytes).digest('hex')}"`, httpStatusCode: 200,
  })
  const get = (bucket, key) => objects.get(`${bucket}/${key}`)
  return {
    getObject: async (bucket, key) => ({ metadata: about(get(bucket, key)), httpStatusCode: 200, body: get(bucket, key).bytes }),
    headObject: async (bucket, key) => about(get(bucket, key)),
    deleteObject: async (bucket, key) => void objects.delete(`${bucket}/${key}`),
    uploadObject: async (bucket, key, version, body, type, cacheControl) => {
      const object = { bytes: Buffer.from(await new Response(body).arrayBuffer()), type, cacheControl, at: new Date() }
      objects.set(`${bucket}/${key}`, object)
      return about(object)
    },
  }
}

/** Lite on a database of its own, with the schema above; (method, url, headers, body) to a Response. */
async function lite(t) {
  const { url, sql } = await cluster(t)
  await sql.unsafe(ROLES)
  setExperimental('storage', true)
  process.env.NODE_ENV = 'test' // lite then keeps to itself that its storage is an experiment,
  console.error = () => {} // and it prints every error that it answers with
  const connection = createPostgresConnection({ url, postgresOptions: { onnotice: () => {} } })
  t.after(() => connection.close())
  const app = new App({
    connection,
    auth: { enabled: true, jwt_secret: SECRET, publishable_key: PUBLISHABLE, secret_key: SECRET_KEY, enable_signup: true, email: { enable_confirmations: false } },
    storage: { enabled: true, file_size_limit: '50MiB' },
    options: { server: { admin: false } },
  })
  app._storageAdapter = bucketsInMemory()
  await app.init()
  await app.ensureSystemSchema()
  await sql.unsafe(SCHEMA)
  const ask = (method, path, headers, body) =>
    app.fetch(new Request(`http://lite${path}`, { method, headers, ...(body && { body, duplex: 'half' }) }), { peerAddress: null })
  const made = await ask('POST', '/storage/v1/bucket', { apikey: SECRET_KEY, authorization: `Bearer ${SECRET_KEY}`, 'content-type': 'application/json' },
    JSON.stringify({ id: BUCKET, name: BUCKET, public: false }))
  if (!made.ok) throw new Error(`no bucket: ${await made.text()}`)
  return ask
}

/** Who is calling: {sub} of a token of ours, null for nobody in particular; throws for a bad token. */
async function caller(keys, authorization) {
  const token = /^Bearer (.+\..+\..+)$/.exec(authorization ?? '')?.[1]
  if (!token) return null
  return (await jwtVerify(token, createLocalJWKSet(keys.jwks), { issuer: keys.iss, audience: 'authenticated' })).payload
}

/** A request as it came, to a server on a port of loopback, and its answer back; also when it is an upgrade. */
function pass(request, response, port, path, more = {}) {
  const onward = http.request({ host: '127.0.0.1', port, method: request.method, path, headers: { ...request.headers, ...more } })
  onward.on('response', (answer) => {
    response.writeHead(answer.statusCode, answer.rawHeaders)
    answer.pipe(response)
    answer.on('error', () => response.destroy())
  })
  onward.on('error', () => response.destroy())
  response.on('close', () => onward.destroy())
  request.pipe(onward)
}

function passUpgrade(request, socket, head, port, path) {
  const onward = net.connect(port, '127.0.0.1', () => {
    const fields = request.rawHeaders.map((value, i) => (i % 2 ? `${value}\r\n` : `${value}: `)).join('')
    onward.write(`${request.method} ${path} HTTP/1.1\r\n${fields}\r\n`)
    onward.write(head)
    socket.pipe(onward).pipe(socket)
  })
  onward.on('error', () => socket.destroy())
  socket.on('error', () => onward.destroy()).on('close', () => onward.destroy())
}

const refuseUpgrade = (socket, status, body) =>
  socket.end(`HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`)

/** {url, issuer, seen, frames, uploaded(id)}: `seen` holds what came for the services, keys aside; `frames` what came over Realtime. */
export async function standIn(t) {
  const keys = await issuer('https://abc.supabase.example/auth/v1', ['ES256'])
  const [ask, functions] = await Promise.all([lite(t), deno(t, readFileSync(new URL('functions.ts', import.meta.url), 'utf8'))])
  const live = realtime()
  const uploads = temporaryFolder(t)
  const tus = new Tus({ path: RESUMABLE, datastore: new FileStore({ directory: uploads }) })
  const seen = []
  const forLite = (claims) => new SignJWT(claims).setProtectedHeader({ alg: 'HS256', typ: 'JWT' }).sign(new TextEncoder().encode(SECRET))

  async function toLite(request, response, user) {
    const headers = user ? { ...request.headers, authorization: `Bearer ${await forLite(user)}` } : request.headers
    const hasBody = request.headers['content-length'] || request.headers['transfer-encoding']
    const answer = await ask(request.method, request.url, headers, hasBody ? Readable.toWeb(request) : undefined)
    if (request.url.startsWith('/auth/v1/') && answer.headers.get('content-type')?.startsWith('application/json')) {
      const body = await answer.json()
      if (body.access_token) body.access_token = await keys.token('ES256', { ...decodeJwt(body.access_token), iss: keys.iss })
      return json(response, body, answer.status)
    }
    response.writeHead(answer.status, [...answer.headers].flat())
    return answer.body ? pipeline(Readable.fromWeb(answer.body), response) : response.end()
  }

  async function serve(request, response) {
    if (request.url === '/auth/v1/.well-known/jwks.json') return json(response, keys.jwks, 200, { 'cache-control': 'public, max-age=600' })
    if (request.url === '/auth/v1/.well-known/openid-configuration') return json(response, { issuer: keys.iss, jwks_uri: `${keys.iss}/.well-known/jwks.json` })
    seen.push(request)
    let user
    try {
      user = await caller(keys, request.headers.authorization)
    } catch (error) {
      return json(response, { code: 'PGRST301', message: String(error) }, 401)
    }
    if (request.url.startsWith(RESUMABLE)) return user ? tus.handle(request, response) : json(response, { message: 'new row violates row-level security policy' }, 403)
    if (request.url.startsWith('/functions/v1/')) return pass(request, response, functions.port, request.url.slice('/functions/v1'.length), { 'x-stand-in-sub': user?.sub ?? '' })
    if (/^\/(auth|rest|storage)\/v1\//.test(request.url)) return toLite(request, response, user)
    return json(response, { message: 'no Route matched with those values' }, 404)
  }

  const edge = await server(t, (request, response) => serve(request, response).catch((error) => response.destroy(error)))
  edge.server.on('upgrade', async (request, socket, head) => {
    seen.push(request)
    socket.on('error', () => socket.destroy())
    const query = new URL(request.url, 'http://x').searchParams
    if (request.url.startsWith('/realtime/v1/websocket?')) {
      if (query.get('apikey') !== PUBLISHABLE) return refuseUpgrade(socket, '401 Unauthorized', '{"message":"Invalid authentication credentials"}')
      return live.upgrade(request, socket, head)
    }
    if (request.url.startsWith('/functions/v1/')) return passUpgrade(request, socket, head, functions.port, request.url.slice('/functions/v1'.length))
    return refuseUpgrade(socket, '404 Not Found', '{"message":"no Route matched with those values"}')
  })
  t.after(() => live.close())
  return { url: edge.url, port: edge.port, issuer: keys, seen, frames: live.frames, uploaded: (id) => readFileSync(path.join(uploads, id)) }
}
