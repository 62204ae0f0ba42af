// SPDX-License-Identifier: MIT
// Supabase's own clients through the gateway, before a project that does what a real one does (standin.mjs): sessions, rows,
// functions and their event streams, files, resumable uploads, Realtime, and a function's own WebSocket.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'
import { createClient } from '@supabase/supabase-js'
import * as tus from 'tus-js-client'
import { WebSocket } from 'ws'
import { DEADLINE_MS, gateway, scope, until } from './lib.mjs'
import { BUCKET, PUBLISHABLE, standIn } from './standin.mjs'

const MIB = 1 << 20
const all = scope()
let project, url, users = 0

before(async () => {
  project = await standIn(all)
  const jotgate = await gateway(all, { url: project.url })
  url = process.env.E2E_DIRECT ? project.url : jotgate.url
})
after(() => all.close())

const client = (options = {}) =>
  createClient(url, PUBLISHABLE, { auth: { persistSession: false, autoRefreshToken: false }, realtime: { transport: WebSocket }, ...options })

/** A client that somebody new is signed in with: {supabase, user, token}. */
async function signedUp() {
  const supabase = client()
  const { data, error } = await supabase.auth.signUp({ email: `user-${++users}@example.com`, password: 'a-long-password' })
  assert.equal(error, null)
  return { supabase, user: data.user, token: data.session.access_token }
}

const good = ({ data, error }) => {
  assert.equal(error, null)
  return data
}

/** Fails, saying what did not come, where a promise is not settled in time. */
const soon = (promise, what) => {
  let timer
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`waited ${DEADLINE_MS} ms for ${what}`)), DEADLINE_MS)))
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

describe('auth', () => {
  it('signs up, out and in again; the session is good, a wrong password is not', async () => {
    const { supabase, user } = await signedUp()
    assert.equal(good(await supabase.auth.getUser()).user.id, user.id)
    const again = client()
    const wrong = await again.auth.signInWithPassword({ email: user.email, password: 'another-password' })
    assert.deepEqual([wrong.error.status, wrong.error.code], [400, 'invalid_credentials'])
    assert.equal(good(await again.auth.signInWithPassword({ email: user.email, password: 'a-long-password' })).user.id, user.id)
    const refreshed = good(await again.auth.refreshSession())
    assert.equal(good(await client().auth.getUser(refreshed.session.access_token)).user.id, user.id)
  })
})

describe('rows', () => {
  it('row-level security sees the caller: their own rows and no other', async () => {
    const [ada, eve] = [await signedUp(), await signedUp()]
    const [row] = good(await ada.supabase.from('todos').insert({ title: 'läuft' }).select())
    assert.deepEqual([row.title, row.owner], ['läuft', ada.user.id])
    assert.deepEqual(good(await ada.supabase.from('todos').select('title').eq('id', row.id)), [{ title: 'läuft' }])
    assert.deepEqual(good(await eve.supabase.from('todos').select('title').eq('id', row.id)), [])
    assert.deepEqual(good(await client().from('todos').select('title')), [])
    const stolen = await eve.supabase.from('todos').insert({ title: 'x', owner: ada.user.id })
    assert.deepEqual([stolen.status, stolen.error.code], [403, '42501'])
  })

  it('counts, ranges and .single() keep their meaning', async () => {
    const { supabase } = await signedUp()
    good(await supabase.from('todos').insert(Array.from({ length: 5 }, (_, i) => ({ title: `${i}` }))))
    const page = await supabase.from('todos').select('title', { count: 'exact' }).order('id').range(1, 2)
    assert.deepEqual([page.status, page.count, good(page)], [206, 5, [{ title: '1' }, { title: '2' }]])
    const head = await supabase.from('todos').select('*', { count: 'exact', head: true })
    assert.deepEqual([head.error, head.count], [null, 5])
    const many = await supabase.from('todos').select('title').single()
    assert.deepEqual([many.status, many.error.code], [406, 'PGRST116'])
  })

  it('rpc answers', async () => {
    assert.equal(good(await (await signedUp()).supabase.rpc('add', { a: 1, b: 2 })), 3)
  })
})

describe('functions', () => {
  it('invoke answers, says who calls, and passes the function’s own error', async () => {
    const { supabase, user } = await signedUp()
    assert.deepEqual(good(await supabase.functions.invoke('hello', { body: { name: 'Ada' } })), { message: 'Hello Ada!', sub: user.id })
    const broken = await supabase.functions.invoke('broken')
    assert.deepEqual([broken.error.name, broken.error.context.status], ['FunctionsHttpError', 500])
    assert.deepEqual(await broken.error.context.json(), { message: 'the function failed' })
  })

  // The function sends an event when it is asked to, so that whoever asks for the next has seen the last.
  async function* read(supabase, name, signal) {
    const answer = good(await supabase.functions.invoke(`events?name=${name}`, { method: 'GET', signal }))
    assert.equal(answer.headers.get('content-type'), 'text/event-stream')
    for await (const piece of answer.body) yield Buffer.from(piece).toString()
  }

  it('events come one by one, each before the next is sent', async () => {
    const { supabase } = await signedUp()
    const seen = []
    await soon((async () => {
      for await (const event of read(supabase, 'one-by-one')) {
        seen.push(event)
        if (seen.length < 6) good(await supabase.functions.invoke(`next?name=one-by-one${seen.length === 5 ? '&last' : ''}`, { method: 'POST' }))
      }
    })(), 'the end of the stream')
    assert.deepEqual(seen, [0, 1, 2, 3, 4, 5].map((n) => `data: ${n}\n\n`))
  })

  it('a reader that leaves is seen by the function', async () => {
    const { supabase } = await signedUp()
    const left = async () => good(await supabase.functions.invoke('left?name=leaver', { method: 'GET' })).left
    const leave = new AbortController()
    const events = read(supabase, 'leaver', leave.signal)
    assert.equal((await soon(events.next(), 'the first event')).value, 'data: 0\n\n')
    assert.equal(await left(), false)
    leave.abort()
    await until(left, 'the function to see that its reader left')
  })
})

describe('files', () => {
  it('come back byte for byte, under names that need escaping; strangers do not get them', async () => {
    const { supabase } = await signedUp()
    const bucket = supabase.storage.from(BUCKET)
    const bytes = randomBytes(3 * MIB + 17)
    good(await bucket.upload('a b/ü+.bin', bytes, { contentType: 'application/x-own', upsert: true }))
    const file = good(await bucket.download('a b/ü+.bin'))
    assert.deepEqual([file.type, file.size], ['application/x-own', bytes.length])
    assert.ok(Buffer.from(await file.arrayBuffer()).equals(bytes))
    assert.match(good(await bucket.list('a b')).map(({ name }) => name).join(), /^(a b\/)?ü\+\.bin$/)
    assert.notEqual((await client().storage.from(BUCKET).download('a b/ü+.bin')).error, null)
  })

  /** Uploads by TUS; resolves to the upload when all is there. */
  function resumable(bytes, token, options = {}) {
    return new Promise((resolve, reject) => {
      const upload = new tus.Upload(bytes, {
        endpoint: `${url}/storage/v1/upload/resumable`, chunkSize: 6 * MIB, uploadSize: bytes.length, retryDelays: null,
        headers: { authorization: `Bearer ${token}`, apikey: PUBLISHABLE, 'x-upsert': 'true' },
        metadata: { bucketName: BUCKET, objectName: 'big.bin', contentType: 'application/octet-stream' },
        onSuccess: () => resolve(upload), onError: reject, ...options,
      })
      upload.start()
    })
  }

  it('14 MiB in chunks of 6 MiB arrive whole, and no request goes round the gateway', async () => {
    const { token } = await signedUp()
    const bytes = randomBytes(14 * MIB)
    project.seen.length = 0
    const upload = await soon(resumable(bytes, token), 'the upload')
    assert.ok(upload.url.startsWith(`${url}/storage/v1/upload/resumable/`), upload.url)
    assert.deepEqual(project.seen.map(({ method }) => method), ['POST', 'PATCH', 'PATCH', 'PATCH'])
    for (const { headers } of project.seen) assert.match(headers.via ?? 'nothing', /jotgate/)
    assert.ok(project.uploaded(upload.url.split('/').at(-1)).equals(bytes))
  })

  it('a resumable upload that broke off goes on where it was', async () => {
    const { token } = await signedUp()
    const bytes = randomBytes(13 * MIB)
    let broken
    await soon(new Promise((resolve, reject) => {
      broken = new tus.Upload(bytes, {
        endpoint: `${url}/storage/v1/upload/resumable`, chunkSize: 6 * MIB, uploadSize: bytes.length, retryDelays: null,
        headers: { authorization: `Bearer ${token}`, apikey: PUBLISHABLE }, onError: reject,
        onChunkComplete: () => broken.abort().then(resolve, reject),
      })
      broken.start()
    }), 'the first chunk')
    project.seen.length = 0
    const upload = await soon(resumable(bytes, token, { uploadUrl: broken.url }), 'the rest')
    assert.deepEqual(project.seen.map(({ method }) => method), ['HEAD', 'PATCH', 'PATCH'])
    assert.ok(project.uploaded(upload.url.split('/').at(-1)).equals(bytes))
  })

  it('without a token there is no upload, and the client sees why', async () => {
    const error = await resumable(Buffer.alloc(10), 'x').then(() => null, (e) => e)
    assert.equal(error.originalResponse.getStatus(), 403)
  })
})

describe('Realtime', () => {
  const subscribed = (channel) =>
    soon(new Promise((resolve, reject) => channel.subscribe((status, error) => (status === 'SUBSCRIBED' ? resolve(channel) : error && reject(error)))), 'SUBSCRIBED')

  it('broadcasts reach the others in the channel: objects and bytes', async (t) => {
    const [ada, eve] = [await signedUp(), await signedUp()]
    t.after(() => Promise.all([ada.supabase.removeAllChannels(), eve.supabase.removeAllChannels()]))
    const got = []
    let arrived
    const hears = ada.supabase.channel('room').on('broadcast', { event: '*' }, ({ event, payload }) => (got.push([event, payload]), arrived?.()))
    const next = () => soon(new Promise((resolve) => (arrived = resolve)), 'a broadcast')
    await subscribed(hears)
    const speaks = await subscribed(eve.supabase.channel('room'))

    const first = next()
    assert.equal(await speaks.send({ type: 'broadcast', event: 'words', payload: { text: 'grüß dich', n: 1 } }), 'ok')
    await first
    const bytes = randomBytes(70_000)
    const second = next()
    await speaks.send({ type: 'broadcast', event: 'bytes', payload: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) })
    await second
    assert.deepEqual(got[0], ['words', { text: 'grüß dich', n: 1 }])
    assert.equal(got[1][0], 'bytes')
    assert.ok(Buffer.from(got[1][1]).equals(bytes))
    assert.ok(project.frames.text > 0 && project.frames.binary >= 2, 'both kinds of frames were to be seen')
  })

  it('an upgrade that the project refuses is refused in its words', async () => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/realtime/v1/websocket?apikey=sb_publishable_of_another_project_00000000&vsn=2.0.0`)
    socket.on('error', () => {})
    const [, answer] = await soon(once(socket, 'unexpected-response'), 'the refusal')
    assert.equal(answer.statusCode, 401)
    let body = ''
    for await (const piece of answer) body += piece
    assert.deepEqual(JSON.parse(body), { message: 'Invalid authentication credentials' })
  })
})

describe('a function’s own WebSocket', () => {
  async function opened(path, token, protocols = []) {
    const socket = new WebSocket(`${url.replace('http', 'ws')}${path}`, protocols, { headers: token ? { authorization: `Bearer ${token}` } : {} })
    await soon(once(socket, 'open'), 'the socket to open')
    return socket
  }
  const answerTo = async (socket, message) => {
    socket.send(message)
    const [data, isBinary] = await soon(once(socket, 'message'), 'the echo')
    return isBinary ? data : data.toString()
  }

  it('echoes text and bytes, in the protocol that was agreed, and closes as it says', async () => {
    const { token } = await signedUp()
    const socket = await opened('/functions/v1/echo', token, ['of-the-function'])
    assert.equal(socket.protocol, 'of-the-function')
    assert.equal(await answerTo(socket, 'grüß dich'), 'grüß dich')
    const bytes = randomBytes(MIB)
    assert.equal(createHash('sha256').update(await answerTo(socket, bytes)).digest('hex'), createHash('sha256').update(bytes).digest('hex'))
    const closed = once(socket, 'close')
    socket.send('close, please')
    const [code, reason] = await soon(closed, 'the close')
    assert.deepEqual([code, reason.toString()], [4001, 'as you wish'])
  })

  it('a forged token gets no socket', async () => {
    const { token } = await signedUp()
    const [head, body, signature] = token.split('.')
    const forged = [head, body, signature.replace(/^./, (c) => (c === 'A' ? 'B' : 'A'))].join('.')
    project.seen.length = 0
    const socket = new WebSocket(`${url.replace('http', 'ws')}/functions/v1/echo`, { headers: { authorization: `Bearer ${forged}` } })
    socket.on('error', () => {})
    const [, answer] = await soon(once(socket, 'unexpected-response'), 'the refusal')
    assert.equal(answer.statusCode, 401)
    assert.equal(project.seen.length, 0)
    answer.destroy()
  })
})
