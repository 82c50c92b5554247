import { type HashName, hash } from '../crypto/hash.ts'
import type { PublicKey } from './public-key.ts'

/** Hashes that OpenSSH makes fingerprints with (FingerprintHash). */
export type FingerprintHash = Extract<HashName, 'md5' | 'sha1' | 'sha256' | 'sha384' | 'sha512'>

/** A fingerprint as OpenSSH prints it: `SHA256:` and base64 without padding, or `MD5:` and hex pairs. */
export function fingerprint(blob: Buffer, kind: FingerprintHash = 'sha256'): string {
  const digest = hash(kind, blob)
  const text =
    kind === 'md5'
      ? (digest.toString('hex').match(/../g) ?? []).join(':')
      : digest.toString('base64').replace(/=+$/, '')
  return `${kind.toUpperCase()}:${text}`
}

const vowels = 'aeiouy'
const consonants = 'bcdfghklmnprstvzx'

/** A digest as words one can say (`ssh-keygen -B`): syllables of five letters with a running checksum in them. */
export function bubbleBabble(digest: Buffer): string {
  let checksum = 1
  let text = 'x'
  const pairs = Math.floor(digest.length / 2)
  for (let i = 0; i < pairs; i++) {
    const [first, second] = [digest[2 * i]!, digest[2 * i + 1]!]
    text += syllable(first, checksum) + consonants[second >> 4] + '-' + consonants[second & 15]
    checksum = (checksum * 5 + first * 7 + second) % 36
  }
  text +=
    digest.length % 2 === 1
      ? syllable(digest[2 * pairs]!, checksum)
      : vowels[checksum % 6]! + consonants[16] + vowels[Math.floor(checksum / 6)]
  return `${text}x`
}

const syllable = (byte: number, checksum: number): string =>
  vowels[((byte >> 6) + checksum) % 6]! +
  consonants[(byte >> 2) & 15]! +
  vowels[((byte & 3) + Math.floor(checksum / 6)) % 6]!

/** The picture of a key's digest (`ssh-keygen -lv`): where a drunken bishop went, and how often. */
export function randomart(key: Pick<PublicKey, 'blob' | 'bits' | 'label'>, kind: FingerprintHash = 'sha256'): string {
  const [width, height] = [17, 9]
  // Visits in order; the last two marks are the start and the end.
  const marks = ' .o+=*BOX@%&#/^SE'
  const [startMark, endMark] = [marks.length - 2, marks.length - 1]
  const visits = Array.from({ length: height }, () => new Array<number>(width).fill(0))
  let [x, y] = [Math.floor(width / 2), Math.floor(height / 2)]
  for (const byte of hash(kind, key.blob)) {
    for (let shift = 0; shift < 8; shift += 2) {
      x = Math.min(Math.max(x + ((byte >> shift) & 1 ? 1 : -1), 0), width - 1)
      y = Math.min(Math.max(y + ((byte >> shift) & 2 ? 1 : -1), 0), height - 1)
      visits[y]![x] = Math.min(visits[y]![x]! + 1, startMark - 1)
    }
  }
  visits[Math.floor(height / 2)]![Math.floor(width / 2)] = startMark
  visits[y]![x] = endMark
  const border = (title: string): string => {
    const before = Math.floor((width - title.length) / 2)
    return `+${`${'-'.repeat(before)}${title}`.padEnd(width, '-')}+`
  }
  const long = `[${key.label} ${key.bits}]`
  // OpenSSH's title has room for one character less than the picture is wide.
  const title = (long.length <= width ? long : `[${key.label}]`).slice(0, width - 1)
  const rows = visits.map(row => `|${row.map(count => marks[count]).join('')}|`)
  return [border(title), ...rows, border(`[${kind.toUpperCase()}]`)].join('\n')
}
