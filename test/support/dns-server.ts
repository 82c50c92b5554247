import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'

/** A name server for tests: it answers what it is told, also what no name server should. */

/** What is answered to a question `name|type`. */
export interface ZoneEntry {
  /** Owner, type, and data in hexadecimal digits or, after `@`, a name. */
  readonly records?: readonly (readonly [string, number, string])[]
  /** Sets the AD bit. */
  readonly authentic?: boolean
  /** Over UDP: the answer is cut. */
  readonly truncated?: boolean
  readonly code?: number
  /** Only without EDNS: otherwise the query is malformed (a server from before 1999). */
  readonly noEdns?: boolean
  /** Sent before the answer over UDP: an answer with another number, to another question, or of bytes that are none. */
  readonly before?: readonly ('number' | 'question' | 'bytes')[]
  readonly silent?: boolean
  /** The bytes of the answer after its number, in place of all else. */
  readonly raw?: string
}

export type Zone = Readonly<Record<string, ZoneEntry>>

export function encodeName(name: string): Buffer {
  const labels = name.split('.').filter(label => label !== '')
  return Buffer.concat([
    ...labels.flatMap(label => [Buffer.from([label.length]), Buffer.from(label, 'latin1')]),
    Buffer.alloc(1),
  ])
}

const uint16 = (...values: number[]): Buffer => Buffer.from(values.flatMap(value => [value >> 8, value & 255]))

interface Asked {
  readonly id: number
  readonly name: string
  readonly type: number
  readonly flags: number
  readonly question: Buffer
  readonly edns: boolean
}

function readQuery(query: Buffer): Asked {
  const labels: string[] = []
  let at = 12
  for (; query[at] !== 0; at += 1 + query[at]!) labels.push(query.toString('latin1', at + 1, at + 1 + query[at]!))
  return {
    id: query.readUInt16BE(0),
    flags: query.readUInt16BE(2),
    name: labels.join('.').toLowerCase(),
    type: query.readUInt16BE(at + 1),
    question: query.subarray(12, at + 5),
    edns: query.readUInt16BE(10) > 0,
  }
}

/** The messages that answer a query, in order. */
function answers(zone: Zone, query: Buffer, transport: 'udp' | 'tcp'): Buffer[] {
  const { id, name, type, question, edns } = readQuery(query)
  const exists = Object.keys(zone).some(key => key.startsWith(`${name}|`))
  const entry: ZoneEntry = zone[`${name}|${type}`] ?? { code: exists ? 0 : 3 }
  if (entry.silent) return []
  if (entry.raw !== undefined) return [Buffer.concat([uint16(id), Buffer.from(entry.raw, 'hex')])]
  const refused = entry.noEdns && edns
  const cut = entry.truncated && transport === 'udp'
  const records = cut || refused ? [] : (entry.records ?? [])
  const flags = 0x8180 | (refused ? 1 : (entry.code ?? 0)) | (entry.authentic ? 0x20 : 0) | (cut ? 0x200 : 0)
  const body = records.map(([owner, kind, data]) => {
    const bytes = data.startsWith('@') ? encodeName(data.slice(1)) : Buffer.from(data, 'hex')
    return Buffer.concat([encodeName(owner), uint16(kind, 1, 0, 60, bytes.length), bytes])
  })
  const message = (number: number, asked: Buffer): Buffer =>
    Buffer.concat([uint16(number, flags, 1, records.length, 0, 0), asked, ...body])
  const other = Buffer.concat([encodeName('other.test'), question.subarray(-4)])
  const strange = { number: message(id ^ 1, question), question: message(id, other), bytes: uint16(id, 0x8180, 1) }
  const before = transport === 'udp' ? (entry.before ?? []) : []
  return [...before.map(sort => strange[sort]), message(id, question)]
}

export interface RunningDns {
  readonly port: number
  /** `udp` or `tcp`, name, type, and the query's flags. */
  readonly asked: { readonly transport: string; readonly name: string; readonly type: number; readonly flags: number }[]
  /** Ports and numbers that queries came with. */
  readonly origins: { readonly port: number; readonly id: number }[]
  close(): void
}

/** Both transports at one port; one that only UDP can have is tried no further. */
async function bindBoth(udp: UdpSocket, tcp: Server, wantedPort: number, address: string): Promise<number> {
  await new Promise<void>(resolve => udp.bind(wantedPort, address, () => resolve()))
  const { port } = udp.address()
  await new Promise<void>((resolve, reject) => tcp.once('error', reject).listen(port, address, () => resolve()))
  return port
}

/** Ports by chance that are tried. */
const tries = 10

export async function startDns(zone: Zone, address = '127.0.0.1', wantedPort = 0): Promise<RunningDns> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startDnsOnce(zone, address, wantedPort)
    } catch (error) {
      if (wantedPort !== 0 || attempt === tries) throw error
    }
  }
}

async function startDnsOnce(zone: Zone, address: string, wantedPort: number): Promise<RunningDns> {
  const udp = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  const asked: RunningDns['asked'] = []
  const origins: RunningDns['origins'] = []
  const note = (transport: string, query: Buffer, from: number): void => {
    const { name, type, flags, id } = readQuery(query)
    asked.push({ transport, name, type, flags })
    origins.push({ port: from, id })
  }
  udp.on('message', (query, { port, address: from }) => {
    note('udp', query, port)
    for (const answer of answers(zone, query, 'udp')) udp.send(answer, port, from)
  })
  const sockets = new Set<Socket>()
  const tcp = createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', data => {
      const query = data.subarray(2)
      note('tcp', query, socket.remotePort ?? 0)
      for (const answer of answers(zone, query, 'tcp')) {
        // One byte alone first: a length that comes in two pieces.
        socket.write(uint16(answer.length).subarray(0, 1))
        setTimeout(() => socket.write(Buffer.concat([uint16(answer.length).subarray(1), answer])), 5)
      }
    })
  })
  const port = await bindBoth(udp, tcp, wantedPort, address).catch(error => {
    udp.close()
    throw error
  })
  return {
    port,
    asked,
    origins,
    close() {
      udp.close()
      tcp.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** As a program: a file with the zone, and the address to serve it at, port 53. */
if (process.env['TSSH_DNS_ZONE']) {
  const zone: unknown = JSON.parse(readFileSync(process.env['TSSH_DNS_ZONE'], 'utf8'))
  await startDns(zone as Zone, '127.0.0.1', 53)
  process.stdout.write('ready\n')
}
