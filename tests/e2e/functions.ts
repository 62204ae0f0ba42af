// SPDX-License-Identifier: MIT
// The stand-in project's Edge Functions, for Deno. It prints the port that it listens on.

/** Event streams by name: each sends its next event when somebody calls /next, so whoever calls has seen the one before. */
const streams = new Map<string, { controller: ReadableStreamDefaultController<Uint8Array>; n: number }>()
const left = new Set<string>()

function events(name: string): Response {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      streams.set(name, { controller, n: 0 })
      send(name)
    },
    cancel() {
      streams.delete(name)
      left.add(name)
    },
  })
  return new Response(body, { headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' } })
}

function send(name: string, last = false): Response {
  const stream = streams.get(name)
  if (!stream) return Response.json({ message: 'no such stream' }, { status: 404 })
  stream.controller.enqueue(new TextEncoder().encode(`data: ${stream.n++}\n\n`))
  if (last) stream.controller.close()
  return Response.json({ sent: stream.n })
}

function echo(request: Request): Response {
  const { socket, response } = Deno.upgradeWebSocket(request, { protocol: request.headers.get('sec-websocket-protocol') ?? '' })
  socket.binaryType = 'arraybuffer'
  socket.onmessage = ({ data }) => (data === 'close, please' ? socket.close(4001, 'as you wish') : socket.send(data))
  return response
}

const FUNCTIONS: Record<string, (request: Request, query: URLSearchParams) => Response | Promise<Response>> = {
  '/hello': async (request) => Response.json({ message: `Hello ${(await request.json()).name}!`, sub: request.headers.get('x-stand-in-sub') }),
  '/events': (_, query) => events(query.get('name') ?? ''),
  '/next': (_, query) => send(query.get('name') ?? '', query.has('last')),
  '/left': (_, query) => Response.json({ left: left.has(query.get('name') ?? '') }),
  '/echo': (request) => (request.headers.get('upgrade') === 'websocket' ? echo(request) : new Response('an upgrade, please', { status: 426 })),
  '/broken': () => Response.json({ message: 'the function failed' }, { status: 500 }),
}

Deno.serve({ port: 0, hostname: '127.0.0.1', onListen: ({ port }) => console.log('port ' + port) }, (request) => {
  const url = new URL(request.url)
  return FUNCTIONS[url.pathname]?.(request, url.searchParams) ?? Response.json({ message: 'no such function' }, { status: 404 })
})
