import { statSync } from 'node:fs'
import { hash } from '../../lib/crypto/hash.ts'
import { messageOf, sanitize } from '../../lib/errors.ts'
import { parseKeyOrCertificate } from '../../lib/keys/certificate.ts'
import { fingerprint } from '../../lib/keys/fingerprint.ts'
import { isRevoked, Krl } from '../../lib/keys/krl.ts'
import { formatKrl, isKrl, parseKrl } from '../../lib/keys/krl-format.ts'
import type { PublicKey } from '../../lib/keys/public-key.ts'
import { CommandError } from '../../src/command/errors.ts'
import { formatAbsoluteTime } from '../../src/openssh/absolute-time.ts'
import { readRegularFile } from '../../src/openssh/files.ts'
import { systemErrorCode, systemErrorText } from '../../src/openssh/system-error.ts'
import { readStdin } from '../../src/terminal/stdin.ts'
import { expandHome, type LoadedKey, loadPublic, problemOf, readKeyLine, writeOutput } from './keys.ts'
import { fatal, type Settings } from './settings.ts'
import { print } from './terminal.ts'

const fileLimit = 256 * 1024 * 1024
const lastSerial = 0xffff_ffff_ffff_ffffn

/** Whose certificates are meant: one authority's, everybody's (`-s none`), or nobody's. */
type Scope = { readonly authority: PublicKey | undefined } | undefined

/** -k: writes a key revocation list; -u adds to one. */
export async function writeKrl(settings: Settings): Promise<number> {
  const { text, flags, operands, serial, quiet } = settings
  const file = settings.file ?? fatal('KRL generation requires an output file')
  const exists = checkExisting(file, flags.has('u'))
  const scope = await readScope(text.get('s'))
  const krl = flags.has('u') && exists ? load(file) : new Krl()
  if (serial !== 0n) krl.version = serial
  if (text.has('C')) krl.comment = text.get('C')!
  for (const operand of operands) {
    const path = operand === '-' ? '(standard input)' : expandHome(operand)
    if (!quiet) print(`Revoking from ${path}\n`)
    let spec: string
    try {
      spec = (operand === '-' ? readStdin(fileLimit) : readRegularFile(path, fileLimit)).toString()
    } catch (error) {
      return fatal(`fopen ${path}: ${problemOf(error)}`)
    }
    for (const [index, line] of spec.split('\n').entries()) revoke(krl, scope, line, `${path}:${index + 1}`)
  }
  krl.generated = BigInt(Math.floor(Date.now() / 1000))
  try {
    writeOutput(file, formatKrl(krl), 0o644 & ~process.umask())
  } catch (error) {
    fatal(`write ${file}: ${problemOf(error)}`)
  }
  return 0
}

function checkExisting(file: string, updating: boolean): boolean {
  try {
    statSync(file)
    return true
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT')
      fatal(`Cannot access KRL "${file}": ${systemErrorText(error) ?? messageOf(error)}`)
    if (updating) fatal(`KRL "${file}" does not exist`)
    return false
  }
}

async function readScope(path: string | undefined): Promise<Scope> {
  if (path === undefined) return undefined
  if (path.toLowerCase() === 'none') return { authority: undefined }
  const expanded = expandHome(path)
  try {
    return { authority: (await loadPublic(expanded)).key }
  } catch (error) {
    return fatal(`Cannot load CA public key ${expanded}: ${problemOf(error)}`)
  }
}

function load(file: string): Krl {
  let contents: Buffer
  try {
    contents = readRegularFile(file, fileLimit)
  } catch (error) {
    return fatal(`Unable to load KRL ${file}: ${problemOf(error)}`)
  }
  if (!isKrl(contents)) fatal(`Invalid KRL file ${file}: KRL file has invalid magic number`)
  try {
    return parseKrl(contents)
  } catch (error) {
    return fatal(`Invalid KRL file ${file}: ${problemOf(error)}`)
  }
}

/** One line of a specification (ssh-keygen(1), KEY REVOCATION LISTS). */
function revoke(krl: Krl, scope: Scope, raw: string, place: string): void {
  const line = raw.replace(/#.*$/, '').trim()
  if (line === '') return
  const [, keyword = '', rest = ''] = /^(serial|id|hash|key|sha1|sha256):[ \t]*(.*)$/i.exec(line) ?? []
  const kind = keyword.toLowerCase()
  if (!scope && kind === 'serial') fatal('revoking certificates by serial number requires specification of a CA key')
  if (!scope && kind === 'id') fatal('revoking certificates by key ID requires specification of a CA key')
  const authority = scope?.authority
  guarded(place, () => {
    switch (kind) {
      case 'serial':
        krl.revokeSerials(authority, ...readSerials(rest, place))
        break
      case 'id':
        krl.revokeKeyId(authority, rest)
        break
      case 'hash':
        if (!rest.startsWith('SHA256:')) fatal(`${place}: unsupported hash algorithm`)
        krl.revokeDigest('sha256', Buffer.from(rest.slice(7), 'base64'))
        break
      case 'key':
        krl.revokeBlob(readKey(rest, place).key.blob)
        break
      case 'sha1':
      case 'sha256':
        krl.revokeDigest(kind, hash(kind, readKey(rest, place).key.blob))
        break
      default: {
        const { key, certificate } = readKey(line, place)
        krl.revoke(certificate ?? key)
      }
    }
  })
}

function guarded(place: string, revoke: () => void): void {
  try {
    revoke()
  } catch (error) {
    if (error instanceof CommandError) throw error
    fatal(`${place}: ${problemOf(error)}`)
  }
}

const readKey = (text: string, place: string): LoadedKey =>
  readKeyLine(text) ?? fatal(`${place}: invalid key: invalid format`)

/** `5`, `5-9`, in decimal, or as C writes octal and hexadecimal. */
function readSerials(text: string, place: string): [bigint, bigint] {
  const number = (part: string): bigint => {
    const valid = /^(0x[0-9a-f]+|0[0-7]*|[1-9]\d*)$/i.test(part)
    if (!valid) fatal(`${place}: invalid serial "${text}"`)
    const value = BigInt(/^0[0-7]+$/.test(part) ? `0o${part}` : part)
    return value > lastSerial ? fatal(`${place}: serial out of range`) : value
  }
  const dash = text.indexOf('-')
  const first = number(dash < 0 ? text : text.slice(0, dash))
  if (dash < 0) return [first, first]
  if (dash === text.length - 1) return fatal(`${place}: invalid serial ""`)
  const last = number(text.slice(dash + 1))
  return last > first ? [first, last] : fatal(`${place}: invalid serial range ${first}:${last}`)
}

/** -Q: says of each key if a list revokes it; with -l shows the list. Exit status 1 when any is revoked. */
export async function checkKrl({ file, flags, operands }: Settings): Promise<number> {
  const krl = load(file ?? fatal('KRL checking requires an input file'))
  if (flags.has('l')) print(describe(krl))
  let status = 0
  for (const path of operands) {
    let subject: LoadedKey
    try {
      subject = await loadPublic(path)
    } catch (error) {
      return fatal(`Cannot load public key ${path}: ${problemOf(error)}`)
    }
    const revoked = isRevoked(krl, subject.certificate ?? subject.key)
    if (revoked) status = 1
    const comment = subject.comment === '' ? '' : ` (${subject.comment})`
    print(`${path}${comment}: ${revoked ? 'REVOKED' : 'ok'}\n`)
  }
  return status
}

/** A list in the words of a specification, as far as there are words. */
function describe(krl: Krl): string {
  const stamp = formatAbsoluteTime(krl.generated).replace(/[-:]/g, '')
  const lines = [`# KRL version ${krl.version}`, `# Generated at ${stamp}`]
  if (krl.comment !== '') lines.push(`# Comment: ${sanitize(krl.comment, true)}`)
  lines.push('')
  for (const blob of krl.keys) lines.push(describeKey(blob))
  // In hexadecimal, which -k does not take, but OpenSSH prints.
  for (const digest of krl.digests('sha256')) lines.push(`hash: SHA256:${digest.toString('hex')}`)
  for (const digest of krl.digests('sha1')) lines.push(`# hash SHA1:${digest.toString('hex')}`)
  for (const { authority, serials, keyIds } of krl.certificates) {
    lines.push('', authority ? `# CA key ${authority.type} ${fingerprint(authority.blob)}` : '# Wildcard CA')
    for (const { first, last } of serials.ranges())
      lines.push(first === last ? `serial: ${first}` : `serial: ${first}-${last}`)
    for (const keyId of [...keyIds].sort()) lines.push(`id: ${sanitize(keyId, true)}`)
  }
  return lines.map(line => `${line}\n`).join('')
}

function describeKey(blob: Buffer): string {
  try {
    return `hash: ${fingerprint(blob)} # ${parseKeyOrCertificate(blob).key.type}`
  } catch {
    return `hash: ${fingerprint(blob)} # of an unknown type`
  }
}
