import { KeyError, sanitize } from '../../lib/errors.ts'
import { type Certificate, parseKeyOrCertificateLine } from '../../lib/keys/certificate.ts'
import { type FingerprintHash, fingerprint } from '../../lib/keys/fingerprint.ts'
import { Reader } from '../../lib/wire/reader.ts'
import { keyFile, problemOf, readLinesOf } from './keys.ts'
import { fatal, type Settings } from './settings.ts'
import { complain, print } from './terminal.ts'
import { describeValidity } from './validity.ts'

const fileLimit = 64 * 1024 * 1024
const indent = ' '.repeat(16)

/** -L: what the certificates of a file say. */
export async function showCertificates(settings: Settings): Promise<number> {
  const file = keyFile(settings)
  const { path, text } = readLinesOf(file, fileLimit)
  let found = false
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    const place = `${path}:${index + 1}`
    try {
      const { certificate } = parseKeyOrCertificateLine(line)
      if (!certificate) {
        complain(`${place} is not a certificate`)
        continue
      }
      print(file !== '-' && index === 0 ? `${path}:\n` : `${place}:\n`)
      print(describe(certificate, settings.fingerprintHash))
      found = true
    } catch (error) {
      if (!(error instanceof KeyError)) throw error
      complain(`${place}: invalid key: ${problemOf(error)}`)
    }
  }
  return found ? 0 : 1
}

function describe(certificate: Certificate, hash: FingerprintHash): string {
  const { type, kind, publicKey, signatureKey, signatureAlgorithm, keyId, serial, principals } = certificate
  const lines = [
    `Type: ${type} ${kind} certificate`,
    `Public key: ${publicKey.label}-CERT ${fingerprint(publicKey.blob, hash)}`,
    `Signing CA: ${signatureKey.label} ${fingerprint(signatureKey.blob, hash)} (using ${signatureAlgorithm})`,
    `Key ID: "${sanitize(keyId, true)}"`,
    `Serial: ${serial}`,
    `Valid: ${describeValidity(certificate)}`,
    `Principals: ${principals.length === 0 ? '(none)' : principals.map(name => `\n${indent}${sanitize(name, true)}`).join('')}`,
    `Critical Options: ${describeOptions(certificate.criticalOptions, 'critical')}`,
    `Extensions: ${describeOptions(certificate.extensions, 'extension')}`,
  ]
  return lines.map(line => `        ${line}\n`).join('')
}

const known = {
  critical: ['verify-required'],
  extension: [
    ...['permit-X11-forwarding', 'permit-agent-forwarding', 'permit-port-forwarding'],
    ...['permit-pty', 'permit-user-rc', 'no-touch-required'],
  ],
} as const

function describeOptions(options: ReadonlyMap<string, Buffer>, kind: keyof typeof known): string {
  if (options.size === 0) return '(none)'
  const flags: readonly string[] = known[kind]
  const lines = [...options].map(([name, data]) => {
    const shown = sanitize(name, true)
    if (flags.includes(name)) return shown
    if (kind === 'critical' && (name === 'force-command' || name === 'source-address'))
      return `${shown} ${sanitize(textOf(data), true)}`
    return data.length > 0
      ? `${shown} UNKNOWN OPTION: ${data.toString('hex')} (len ${data.length})`
      : `${shown} UNKNOWN FLAG OPTION`
  })
  return lines.map(line => `\n${indent}${line}`).join('')
}

function textOf(data: Buffer): string {
  try {
    return new Reader(data).text()
  } catch {
    return fatal('parse critical: incomplete message')
  }
}
