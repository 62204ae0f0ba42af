// SPDX-License-Identifier: MIT
// A real browser (Debian's chromium) and supabase-js in its page, which is of another origin than the gateway: preflights,
// answers and refusals that the page's code may read, an event stream, a WebSocket.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { gateway, json, scope, server, start, temporaryFolder, until } from './lib.mjs'
import { PUBLISHABLE, standIn } from './standin.mjs'

const CHROMIUM = '/usr/bin/chromium'
const QUIET = ['headless=new', 'no-sandbox', 'no-first-run', 'disable-gpu', 'disable-background-networking', 'disable-component-update', 'disable-sync',
  'disable-default-apps', 'disable-extensions', 'disable-dev-shm-usage', 'metrics-recording-only', 'no-proxy-server', 'password-store=basic']
const DEADLINE_MS = 60_000
const here = (name) => readFileSync(new URL(name, import.meta.url))

/** What page.html reports, opened in a browser of its own. */
async function opened(t, given) {
  let outcome
  const page = await server(t, async (request, response) => {
    if (request.url === '/given') return json(response, given)
    if (request.url === '/supabase.js') return response.writeHead(200, { 'content-type': 'text/javascript' }).end(here('node_modules/@supabase/supabase-js/dist/umd/supabase.js'))
    if (request.url !== '/outcome') return response.writeHead(request.url === '/' ? 200 : 404, { 'content-type': 'text/html' }).end(request.url === '/' ? here('page.html') : '')
    let text = ''
    for await (const piece of request) text += piece
    outcome = JSON.parse(text)
    return response.end()
  })
  const home = temporaryFolder(t)
  const browser = start(t, CHROMIUM, [...QUIET.map((flag) => `--${flag}`), `--user-data-dir=${home}/profile`, `${page.url}/`], { env: { ...process.env, HOME: home } })
  await until(() => {
    if (browser.exitCode !== null) throw new Error(`chromium ended with ${browser.exitCode}: ${browser.said}`)
    return outcome
  }, 'the page to report', DEADLINE_MS)
  return outcome
}

// Ubuntu's chromium is no package of apt's: where there is none, nothing is proven here.
describe('in a browser', { skip: existsSync(CHROMIUM) ? false : 'no chromium' }, () => {
  const all = scope()
  let project, outcome

  before(async () => {
    project = await standIn(all)
    const limits = { few: { key: 'ip', rate: '2/hour', for: 'everyone' } }
    const routes = [{ path: '/limited', access: 'open', limits: ['few'] }]
    const jotgate = await gateway(all, { url: project.url, settings: { limits, routes } })
    const token = await project.issuer.token('ES256')
    const forged = token.slice(0, -8) + (token.endsWith('AAAAAAAA') ? 'BBBBBBBB' : 'AAAAAAAA')
    outcome = await opened(all, { gateway: jotgate.url, publishable: PUBLISHABLE, forged })
  })
  after(() => all.close())

  for (const [what, step, expected] of [
    ['a session is made', 'session', { error: null, email: 'browser@example.com' }],
    ['rows are written and read, and counted by a header', 'rows', { error: null, data: [{ title: 'one' }], count: 2 }],
    ['a refused token is a 401 that the page may read', 'refused', { status: 401, code: 'bad_jwt' }],
    ['the gateway’s own headers may be read', 'readable', { status: 200, id: true, limit: true }],
    ['a limit is a 429 that the page may read, with the time to wait', 'limited', { status: 429, code: 'rate_limited', retry: true }],
    ['a function answers', 'function_call', { error: null, message: 'Hello browser!' }],
    ['events come', 'event_stream', { first: 'data: 0\n\n' }],
    ['Realtime is subscribed to', 'realtime', { status: 'SUBSCRIBED', error: null }],
  ]) {
    it(what, () => assert.deepEqual(outcome[step], expected))
  }

  it('no preflight reached the project', () => {
    assert.ok(project.seen.length > 5)
    assert.deepEqual(project.seen.filter(({ method }) => method === 'OPTIONS'), [])
  })
})
