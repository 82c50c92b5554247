import { sanitize } from '../../lib/errors.ts'
import { fingerprint, randomart } from '../../lib/keys/fingerprint.ts'
import { leadingOptions } from '../../src/openssh/allowed-signers.ts'
import { keyFile, type LoadedKey, loadPublic, openPrivate, readKeyLine, readLinesOf, requireFile } from './keys.ts'
import { fatal, type Settings } from './settings.ts'
import { print } from './terminal.ts'

const fileLimit = 256 * 1024 * 1024

/** `256 SHA256:… comment (ED25519)`, and the picture when -v was given. */
async function describe(
  { key, label }: Pick<LoadedKey, 'key' | 'label'>,
  comment: string | undefined,
  settings: Settings,
): Promise<string> {
  const { flags, fingerprintHash, verbosity } = settings
  const shown = flags.has('B') ? await inSyllables(key.blob) : fingerprint(key.blob, fingerprintHash)
  const line = `${key.bits} ${shown} ${sanitize(comment ?? 'no comment', true)} (${label})\n`
  const picture = { blob: key.blob, bits: key.bits, label }
  return verbosity > 0 ? `${line}${randomart(picture, fingerprintHash)}\n` : line
}

/** `-B` takes SHA-1 whatever -E says. */
export async function inSyllables(blob: Buffer): Promise<string> {
  const { bubbleBabble } = await import('../../lib/keys/fingerprint.ts')
  const { hash } = await import('../../lib/crypto/hash.ts')
  return bubbleBabble(hash('sha1', blob))
}

/** -l and -B: fingerprints of a private key, or of every key in a file of public keys of any kind. */
export async function printFingerprints(settings: Settings): Promise<number> {
  const file = keyFile(settings)
  const { path, text } = readLinesOf(file, fileLimit)
  const first = text.slice(0, text.indexOf('\n') < 0 ? undefined : text.indexOf('\n'))
  if (file !== '-' && (first.includes('PRIVATE KEY') || first.startsWith('PuTTY-User-Key-File-')))
    return printPrivate(file, settings)
  let found = false
  for (const line of text.split('\n')) {
    const entry = readEntry(line.replace(/\r.*$/, ''))
    if (!entry) continue
    print(await describe(entry.key, entry.comment, settings))
    found = true
  }
  return found ? 0 : fatal(`${path} is not a public key file.`)
}

/** A key alone, or after what stands before keys in known_hosts and authorized_keys. */
function readEntry(line: string): { key: LoadedKey; comment: string | undefined } | undefined {
  const text = line.replace(/^[ \t]+/, '')
  if (text === '' || text.startsWith('#')) return undefined
  const plain = readKeyLine(text)
  if (plain) return { key: plain, comment: commentOf(plain) }
  // A number of bits, as in lines of protocol 1, is no name.
  if (/^[1-9]\d*[ \t]/.test(text)) return undefined
  const before = leadingOptions(text)
  if (before === undefined) return undefined
  const key = readKeyLine(text.slice(before.length))
  return key && { key, comment: commentOf(key) ?? before }
}

const commentOf = ({ comment }: LoadedKey): string | undefined =>
  comment === '' || comment.startsWith('#') ? undefined : comment

/** The public half that stands beside the private one, or in it; the comment may need both. */
async function printPrivate(file: string, settings: Settings): Promise<number> {
  requireFile(file)
  let found: LoadedKey | undefined
  try {
    found = await loadPublic(file)
  } catch {
    // The private half may do.
  }
  let comment = found?.comment || undefined
  if (!found || comment === undefined) {
    try {
      const opened = await openPrivate(file, '')
      comment = opened.comment
      found ??= { key: opened.key.publicKey, comment: '', label: opened.key.publicKey.label }
    } catch {
      // Encrypted, or damaged: then what was found before counts.
    }
  }
  if (!found) return fatal(`${file} is not a key file.`)
  print(await describe(found, comment, settings))
  return 0
}
