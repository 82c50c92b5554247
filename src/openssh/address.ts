/** IP addresses as bytes: parsing, printing and network comparison, without asking the system. */

/** An address and, for IPv6, its zone (`%eth0`). */
export interface IpAddress {
  readonly bytes: Uint8Array
  readonly zone: string
}

export interface IpNetwork {
  readonly address: IpAddress
  /** Leading bits that count. */
  readonly bits: number
}

function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every(part => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256))
    return undefined
  return Uint8Array.from(parts, Number)
}

function parseIpv6(text: string): Uint8Array | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const groups = (half: string): number[] | undefined => {
    if (half === '') return []
    const values: number[] = []
    const words = half.split(':')
    for (const [index, word] of words.entries()) {
      if (index === words.length - 1 && word.includes('.')) {
        const tail = parseIpv4(word)
        if (!tail) return undefined
        values.push((tail[0]! << 8) | tail[1]!, (tail[2]! << 8) | tail[3]!)
      } else if (/^[0-9a-f]{1,4}$/i.test(word)) values.push(Number.parseInt(word, 16))
      else return undefined
    }
    return values
  }
  const head = groups(halves[0]!)
  const tail = halves.length === 2 ? groups(halves[1]!) : []
  if (!head || !tail) return undefined
  if (halves.length === 2 && halves[1] !== '' && halves[0]!.includes('.')) return undefined
  const missing = 8 - head.length - tail.length
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined
  const all = [...head, ...new Array<number>(missing).fill(0), ...tail]
  return Uint8Array.from(all.flatMap(group => [group >> 8, group & 255]))
}

/** A numeric address in the forms of inet_pton(3), with an optional IPv6 zone; undefined for anything else. */
export function parseAddress(text: string): IpAddress | undefined {
  if (text.length > 128) return undefined
  const percent = text.indexOf('%')
  const zone = percent < 0 ? '' : text.slice(percent + 1)
  const number = percent < 0 ? text : text.slice(0, percent)
  if (number.includes(':')) {
    const bytes = percent >= 0 && zone === '' ? undefined : parseIpv6(number)
    return bytes && { bytes, zone }
  }
  const bytes = percent >= 0 ? undefined : parseIpv4(number)
  return bytes && { bytes, zone: '' }
}

/** `address` or `address/bits`. `bad-mask` when the length is impossible or host bits are set, as OpenSSH insists. */
export function parseNetwork(text: string): IpNetwork | 'bad-mask' | undefined {
  const slash = text.indexOf('/')
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash))
  if (!address) return undefined
  const width = address.bytes.length * 8
  if (slash < 0) return { address, bits: width }
  const length = text.slice(slash + 1)
  if (!/^\d{1,4}$/.test(length)) return undefined
  const bits = Number(length)
  if (bits > width) return 'bad-mask'
  const hostBitsClear = address.bytes.every(
    (byte, i) => (byte & (0xff >> clamp(bits - i * 8))) === 0 || bits >= i * 8 + 8,
  )
  return hostBitsClear ? { address, bits } : 'bad-mask'
}

const clamp = (bits: number): number => Math.min(8, Math.max(0, bits))

/** Whether an address lies in a network. */
export function inNetwork(address: IpAddress, network: IpNetwork): boolean {
  const net = network.address
  if (address.bytes.length !== net.bytes.length) return false
  if (net.zone !== '' && net.zone !== address.zone) return false
  return net.bytes.every((byte, i) => {
    const mask = (0xff00 >> clamp(network.bits - i * 8)) & 0xff
    return (byte & mask) === (address.bytes[i]! & mask)
  })
}

/** The text that inet_ntop(3) gives. */
export function formatAddress(address: IpAddress): string {
  const { bytes } = address
  if (bytes.length === 4) return bytes.join('.')
  const groups = Array.from({ length: 8 }, (_, i) => (bytes[2 * i]! << 8) | bytes[2 * i + 1]!)
  let best = { start: -1, length: 1 }
  for (let start = 0; start < 8; start++) {
    let length = 0
    while (start + length < 8 && groups[start + length] === 0) length++
    if (length > best.length) best = { start, length }
  }
  const embedsIpv4 = best.start === 0 && (best.length === 6 || (best.length === 5 && groups[5] === 0xffff))
  const hex = groups.map(group => group.toString(16))
  if (embedsIpv4) hex.splice(6, 2, bytes.subarray(12).join('.'))
  const text =
    best.start < 0
      ? hex.join(':')
      : `${hex.slice(0, best.start).join(':')}::${hex.slice(best.start + best.length).join(':')}`
  return address.zone === '' ? text : `${text}%${address.zone}`
}

/** The number forms that inet_aton(3) takes besides dotted decimal: fewer parts, octal, hexadecimal. */
function parseLooseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split('.')
  if (parts.length > 4) return undefined
  const values: number[] = []
  for (const part of parts) {
    const radix = /^0x[0-9a-f]{1,8}$/i.test(part)
      ? 16
      : /^0[0-7]{0,11}$/.test(part)
        ? 8
        : /^[1-9]\d{0,9}$/.test(part)
          ? 10
          : 0
    if (radix === 0) return undefined
    values.push(Number.parseInt(radix === 16 ? part.slice(2) : part, radix))
  }
  const last = values.pop()!
  if (values.some(value => value > 255) || last >= 256 ** (4 - values.length)) return undefined
  const whole = values.reduce((sum, value, i) => sum + value * 256 ** (3 - i), last)
  return Uint8Array.of(whole >>> 24, (whole >>> 16) & 255, (whole >>> 8) & 255, whole & 255)
}

/** What getaddrinfo(3) takes as a numeric host, in its canonical text; undefined for a name. */
export function canonicalAddress(text: string): string | undefined {
  const strict = parseAddress(text)
  if (strict) return formatAddress(strict)
  const loose = parseLooseIpv4(text)
  return loose && formatAddress({ bytes: loose, zone: '' })
}
