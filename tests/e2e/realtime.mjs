// SPDX-License-Identifier: MIT
// A stand-in for Supabase Realtime: Phoenix channels over a WebSocket (serializer 2.0.0), as far as broadcasts need it.
// Text frames are [join_ref, ref, topic, event, payload]. A broadcast that realtime-js sends over a joined channel is a
// binary frame, and leaves as another:
//
//   push (3)  | kind | join_ref | ref | topic | event | metadata | encoding |  lengths, one byte each
//             | join_ref … | ref … | topic … | event … | metadata … | payload … |
//   out  (4)  | kind | topic | event | metadata | encoding | topic … | event … | metadata … | payload … |
import { WebSocketServer } from 'ws'

const PUSH = 3
const OUT = 4

/** A push's topic, and the frame that the topic's other members get. */
function relayed(frame) {
  const [, joinRef, ref, topic, event, metadata, encoding] = frame
  const rest = frame.subarray(7 + joinRef + ref)
  return { topic: rest.subarray(0, topic).toString(), out: Buffer.concat([Buffer.from([OUT, topic, event, metadata, encoding]), rest]) }
}

/** {upgrade(request, socket, head), frames, close()}: frames counts what came, by kind. */
export function realtime() {
  const members = new Map()
  const server = new WebSocketServer({ noServer: true })
  const frames = { text: 0, binary: 0 }
  const others = (topic, self) => [...(members.get(topic) ?? [])].filter((socket) => socket !== self)

  function onText(socket, [joinRef, ref, topic, event, payload]) {
    const reply = (response = {}) => socket.send(JSON.stringify([joinRef, ref, topic, 'phx_reply', { status: 'ok', response }]))
    if (event === 'heartbeat') return reply()
    if (event === 'phx_join') {
      if (!members.has(topic)) members.set(topic, new Set())
      members.get(topic).add(socket)
      return reply({ postgres_changes: [] })
    }
    if (event === 'phx_leave') {
      members.get(topic)?.delete(socket)
      return reply()
    }
    if (event === 'broadcast') for (const other of others(topic, socket)) other.send(JSON.stringify([null, null, topic, event, payload]))
  }

  server.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => {
      frames[isBinary ? 'binary' : 'text']++
      if (!isBinary) return onText(socket, JSON.parse(data))
      if (data[0] !== PUSH) return socket.close(1003)
      const { topic, out } = relayed(data)
      for (const other of others(topic, socket)) other.send(out)
    })
    socket.on('close', () => members.forEach((sockets) => sockets.delete(socket)))
  })
  return {
    frames,
    upgrade: (request, socket, head) => server.handleUpgrade(request, socket, head, (open) => server.emit('connection', open)),
    close: () => server.clients.forEach((socket) => socket.terminate()),
  }
}
