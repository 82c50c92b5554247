import { hostname, userInfo } from 'node:os'
import { KeyError } from '../../lib/errors.ts'
import type { Certificate } from '../../lib/keys/certificate.ts'
import { parsePrivateKey } from '../../lib/keys/formats/private-file.ts'
import { isSsh2File, parseRfc4716 } from '../../lib/keys/formats/rfc4716.ts'
import type { PrivateKey } from '../../lib/keys/private-key.ts'
import { formatPublicKeyLine, type PublicKey } from '../../lib/keys/public-key.ts'
import { readRegularFile } from '../../src/openssh/files.ts'
import { keyFile, type LoadedKey, loadIdentity, loadPublic, needsPassphrase, problemOf, requireFile } from './keys.ts'
import { fatal, type Settings } from './settings.ts'
import { askPassphrase, print } from './terminal.ts'

const fileLimit = 1024 * 1024

/** -y: the public half of a private key. */
export async function printPublic(settings: Settings): Promise<number> {
  const file = keyFile(settings)
  requireFile(file)
  const { key, comment } = await loadIdentity(file, settings)
  key.dispose()
  print(`${formatPublicKeyLine(key.publicKey, comment)}\n`)
  return 0
}

/** What OpenSSH takes from a key's line is this long at most, so that the header fits a line. */
const commentLength = 60

/** -e: a public key in another format, to stdout. */
export async function exportKey(settings: Settings): Promise<number> {
  const file = keyFile(settings)
  requireFile(file, 'tssh-keygen: ')
  const { key, label, certificate } = await publicOf(file, settings)
  const format = settings.format ?? 'RFC4716'
  if (format === 'RFC4716') {
    const { formatRfc4716 } = await import('../../lib/keys/formats/rfc4716.ts')
    const comment = `${key.bits}-bit ${label}, converted by ${userInfo().username}@${hostname()} from OpenSSH`
    print(formatRfc4716(certificate?.blob ?? key.blob, { comment: comment.slice(0, commentLength) }))
    return 0
  }
  if (format === 'PPK') return fatal('PPK files hold private keys: write one with -p -m PPK')
  if (key.type === 'ssh-ed25519' && format === 'PEM') return fatal(`unsupported key type ${label}`)
  const { formatPublicPemKey } = await import('../../lib/keys/formats/pem.ts')
  try {
    print(formatPublicPemKey(key, format === 'PEM' ? 'traditional' : 'pkcs8'))
  } catch (error) {
    return fatal(problemOf(error))
  }
  return 0
}

async function publicOf(file: string, settings: Settings): Promise<LoadedKey> {
  try {
    return await loadPublic(file)
  } catch {
    const { key } = await loadIdentity(file, settings)
    key.dispose()
    return { key: key.publicKey, comment: '', label: key.publicKey.label }
  }
}

/** -i: a key of another format in OpenSSH's, to stdout. A private one comes out in the form that ssh-keygen prints. */
export async function importKey(settings: Settings): Promise<number> {
  const file = keyFile(settings)
  requireFile(file, 'tssh-keygen: ')
  const contents = readRegularFile(file, fileLimit)
  const text = contents.toString()
  try {
    const isPublic = settings.format === 'PKCS8' || settings.format === 'PEM' || isSsh2File(text, 'public')
    if (isPublic) print(`${formatPublicKeyLine(await readForeign(text, file, settings))}\n`)
    else print(await formatImported(await readPrivate(contents, file, settings)))
    return 0
  } catch (error) {
    if (!(error instanceof KeyError)) throw error
    return fatal(`${file}: ${problemOf(error)}`)
  }
}

async function readForeign(text: string, file: string, { format }: Settings): Promise<PublicKey | Certificate> {
  if (format !== 'PKCS8' && format !== 'PEM') {
    const { key, certificate } = parseRfc4716(text)
    return certificate ?? key
  }
  const { parsePublicPemKey } = await import('../../lib/keys/formats/pem.ts')
  if (format === 'PEM' && !text.includes('BEGIN RSA PUBLIC KEY')) return fatal('unrecognised raw private key format')
  if (!/BEGIN (RSA )?PUBLIC KEY/.test(text)) return fatal(`${file} is not a recognised public key format`)
  return parsePublicPemKey(text)
}

async function readPrivate(contents: Buffer, file: string, { text }: Settings): Promise<PrivateKey> {
  try {
    return parsePrivateKey(contents)
  } catch (error) {
    if (!needsPassphrase(error)) throw error
  }
  return parsePrivateKey(contents, text.get('P') ?? (await askPassphrase(`Enter passphrase for "${file}": `)))
}

async function formatImported(key: PrivateKey): Promise<string> {
  if (['rsa', 'dsa', 'ecdsa'].includes(key.numbers.kind)) {
    const { formatPrivatePem } = await import('../../lib/keys/formats/pem.ts')
    return formatPrivatePem(key, 'traditional')
  }
  const { formatOpensshV1 } = await import('../../lib/keys/formats/openssh-v1.ts')
  return formatOpensshV1(key)
}
