import { KeyError } from '../../errors.ts'
import { type Certificate, parseKeyOrCertificate } from '../certificate.ts'
import type { PublicKey } from '../public-key.ts'

/** The SSH2 public key file format (RFC 4716), and the armour that ssh.com's private keys share with it. */

const begins = {
  public: '---- BEGIN SSH2 PUBLIC KEY ----',
  private: '---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----',
} as const
const endOf = (begin: string): string => begin.replace('BEGIN', 'END')

/** Longest line, without its end (§3); and the longest header value (§3.3). */
const lineLimit = 72
const valueLimit = 1024

export interface Ssh2File {
  readonly kind: keyof typeof begins
  /** In the file's order, tags as they stand there, values without their quotes. */
  readonly headers: readonly (readonly [tag: string, value: string])[]
  readonly body: Buffer
}

export const isSsh2File = (text: string, kind: keyof typeof begins): boolean => text.includes(begins[kind])

/** @throws KeyError `unknown-format`, `malformed` */
export function parseSsh2File(text: string): Ssh2File {
  const lines = text.split(/\r\n|\r|\n/)
  const kind = (['public', 'private'] as const).find(name => lines.some(line => line.trim() === begins[name]))
  if (!kind) throw new KeyError('unknown-format', 'not an SSH2 key file')
  const start = lines.findIndex(line => line.trim() === begins[kind])
  const end = lines.findIndex((line, i) => i > start && line.trim() === endOf(begins[kind]))
  if (end < 0) throw new KeyError('malformed', 'SSH2 key file has no end line')
  const headers: [string, string][] = []
  let at = start + 1
  for (; at < end && lines[at]!.includes(':'); at++) {
    let line = lines[at]!
    while (line.endsWith('\\') && at + 1 < end) line = line.slice(0, -1) + lines[++at]!
    headers.push(readHeader(line))
  }
  const base64 = lines.slice(at, end).join('').replace(/[ \t]/g, '')
  if (!/^[A-Za-z0-9+/]+={0,3}$/.test(base64)) throw new KeyError('malformed', 'SSH2 key file is not base64')
  return { kind, headers, body: Buffer.from(base64, 'base64') }
}

function readHeader(line: string): [string, string] {
  const colon = line.indexOf(':')
  const value = line.slice(colon + 1).trim()
  if (value.length > valueLimit) throw new KeyError('malformed', 'SSH2 key file has a header that is too long')
  return [line.slice(0, colon).trim(), /^".*"$/.test(value) ? value.slice(1, -1) : value]
}

/** A header's value; tags are compared without regard to case (§3.3). */
export const ssh2Header = ({ headers }: Ssh2File, tag: string): string | undefined =>
  headers.find(([name]) => name.toLowerCase() === tag.toLowerCase())?.[1]

export interface Rfc4716Key {
  readonly key: PublicKey
  /** OpenSSH writes certificates in this format too. */
  readonly certificate?: Certificate
  readonly comment: string
  readonly subject: string | undefined
}

/** @throws KeyError */
export function parseRfc4716(text: string): Rfc4716Key {
  const file = parseSsh2File(text)
  if (file.kind !== 'public') throw new KeyError('unknown-format', 'not an SSH2 public key file')
  return {
    ...parseKeyOrCertificate(file.body),
    comment: ssh2Header(file, 'Comment') ?? '',
    subject: ssh2Header(file, 'Subject'),
  }
}

/** The text of a public key file, its last newline included; long headers go on in further lines. */
export function formatRfc4716(
  blob: Buffer,
  headers: { readonly comment?: string; readonly subject?: string } = {},
): string {
  const lines: string[] = []
  if (headers.subject) lines.push(...headerLines(`Subject: ${headers.subject}`))
  if (headers.comment) lines.push(...headerLines(`Comment: "${headers.comment}"`))
  const body = blob.toString('base64').match(/.{1,70}/g) ?? []
  return `${[begins.public, ...lines, ...body, endOf(begins.public)].join('\n')}\n`
}

function headerLines(header: string): string[] {
  const text = header.replace(/[\r\n]/g, ' ')
  const lines: string[] = []
  let rest = text
  while (rest.length > lineLimit) {
    lines.push(`${rest.slice(0, lineLimit - 1)}\\`)
    rest = rest.slice(lineLimit - 1)
  }
  return [...lines, rest]
}
