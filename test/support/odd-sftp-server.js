/*
 * An SFTP server that does one thing as no server should, for `-D`: node odd-sftp-server.js MODE [ARGUMENT]. It has the
 * file /file of 1,000,000 bytes and the directory /tree with one file in it, and takes all that is written.
 */
const [mode = 'good', argument = ''] = process.argv.slice(2)
const size = 1_000_000
const text = JSON.parse(`"${argument}"`)

const uint32 = value => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
const string = value => {
  const bytes = Buffer.isBuffer(value) ? value : Buffer.from(value, 'latin1')
  return Buffer.concat([uint32(bytes.length), bytes])
}
const uint64 = value => Buffer.concat([uint32(Math.floor(value / 2 ** 32)), uint32(value % 2 ** 32)])
const attributes = (type, length) =>
  Buffer.concat([
    uint32(5),
    uint64(length),
    uint32(type === 'directory' ? 0o40755 : type === 'setuid' ? 0o106777 : 0o100644),
  ])

const send = (type, ...parts) => {
  const body = Buffer.concat([Buffer.of(type), ...parts])
  process.stdout.write(Buffer.concat([uint32(body.length), body]))
}
const status = (id, code, message = '') => send(101, uint32(id), uint32(code), string(message), string(''))
const name = (id, ...names) =>
  send(104, uint32(id), uint32(names.length), ...names.map(([n, a, l = n]) => Buffer.concat([string(n), string(l), a])))

let reads = 0
let writes = 0
let listed = 0
const held = []

/** What the file holds: each byte tells where it is. */
const dataAt = (offset, length) => {
  const data = Buffer.alloc(Math.max(0, Math.min(length, size - offset)))
  for (let i = 0; i < data.length; i++) data[i] = (offset + i) % 251
  return data
}

function read(id, offset, length) {
  const data = dataAt(offset, length)
  if (data.length === 0) return status(id, 1)
  reads++
  if (mode === 'short') return send(103, uint32(id), string(data.subarray(0, Math.ceil(data.length / 7))))
  if (mode === 'disorder') {
    held.unshift([id, data])
    // Always the newest first, of what came meanwhile.
    setTimeout(() => {
      const next = held.shift()
      if (next) send(103, uint32(next[0]), string(next[1]))
    }, 5)
    return
  }
  send(103, uint32(id), string(mode === 'long' && reads === 2 ? Buffer.concat([data, Buffer.alloc(9)]) : data))
  if (mode === 'twice' && reads === 2) send(103, uint32(id), string(data))
  if (mode === 'nobody' && reads === 2) send(103, uint32(0x7fffffff), string(data))
}

function answer(type, id, body) {
  if (mode === 'never' && type >= 5 && type <= 6 && reads + writes > 1) return
  if (mode === 'deaf' && type !== 1) return
  const path = () => body.subarray(4, 4 + body.readUInt32BE(0)).toString('latin1')
  switch (type) {
    case 3:
      if (mode === 'error') return status(id, 4, text)
      return send(102, uint32(id), string(path().endsWith('tree') ? 'd' : 'f'))
    case 4:
      if (mode === 'close') return status(id, 4, 'Disk quota exceeded')
      return status(id, 0)
    case 5: {
      const at = 4 + body.readUInt32BE(0)
      return read(id, body.readUInt32BE(at) * 2 ** 32 + body.readUInt32BE(at + 4), body.readUInt32BE(at + 8))
    }
    case 6:
      writes++
      if (mode === 'full' && writes > 1) return status(id, 4, 'No space left on device')
      if (mode === 'twice' && writes === 2) status(id, 0)
      return status(id, 0)
    case 7:
    case 8:
    case 17: {
      if (mode === 'error' && type === 17) return status(id, 4, text)
      if (type !== 8 && /new/.test(path())) return status(id, 2)
      if (type !== 8 && /(tree\/?|^\/|\.)$/.test(path())) return send(105, uint32(id), attributes('directory', 0))
      return send(105, uint32(id), attributes(mode === 'setuid' ? 'setuid' : 'file', size))
    }
    case 11:
      listed = 0
      return send(102, uint32(id), string('d'))
    case 12: {
      if (listed++ > 0) return status(id, 1)
      const entry = [mode === 'names' ? text : 'plain', attributes('file', size)]
      if (mode === 'longname') return name(id, ['plain', attributes('file', size), text])
      if (mode === 'link') {
        const link = Buffer.concat([uint32(4), uint32(0o120777)])
        return name(id, ['x', link], ['x', attributes('directory', 0)], ['x', attributes('file', size)])
      }
      return name(id, entry)
    }
    case 16:
      return name(id, [mode === 'realpath' ? text : path() === '.' ? '/' : path(), Buffer.alloc(4)])
    case 19:
      return name(id, [mode === 'link' ? '/etc' : text, Buffer.alloc(4)])
    default:
      return status(id, type === 200 ? 8 : 0)
  }
}

let rest = Buffer.alloc(0)
process.stdin.on('data', chunk => {
  rest = Buffer.concat([rest, chunk])
  while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE(0)) {
    const packet = rest.subarray(4, 4 + rest.readUInt32BE(0))
    rest = rest.subarray(4 + packet.length)
    if (packet[0] === 1) send(2, uint32(3))
    else answer(packet[0], packet.readUInt32BE(1), packet.subarray(5))
  }
})
process.stdout.on('error', () => {})
process.stdin.on('end', () => process.exit(0))
