import { mkdirSync, statSync } from 'node:fs'
import { hostname, userInfo } from 'node:os'
import { messageOf } from '../../lib/errors.ts'
import { fingerprint, randomart } from '../../lib/keys/fingerprint.ts'
import { type GeneratedKind, generateKey } from '../../lib/keys/private-key.ts'
import { systemErrorText } from '../../src/openssh/system-error.ts'
import { confirmOverwrite, keyFile, problemOf, savePrivate, savePublic } from './keys.ts'
import { fatal, type Settings } from './settings.ts'
import { askNewPassphrase, complain, print } from './terminal.ts'

/** A type that -t takes. */
interface KeyType {
  readonly kind: GeneratedKind
  readonly fileName: string
  readonly bits?: number
}

const types: Readonly<Record<string, KeyType>> = {
  rsa: { kind: 'rsa', fileName: 'id_rsa' },
  dsa: { kind: 'dsa', fileName: 'id_dsa' },
  ecdsa: { kind: 'ecdsa', fileName: 'id_ecdsa' },
  ed25519: { kind: 'ed25519', fileName: 'id_ed25519' },
  ed448: { kind: 'ed448', fileName: 'id_ed448' },
  'mldsa44-ed25519': { kind: 'mldsa44-ed25519', fileName: 'id_mldsa44_ed25519' },
  'ssh-rsa': { kind: 'rsa', fileName: 'id_rsa' },
  'ssh-dss': { kind: 'dsa', fileName: 'id_dsa' },
  'ssh-ed25519': { kind: 'ed25519', fileName: 'id_ed25519' },
  'ssh-ed448': { kind: 'ed448', fileName: 'id_ed448' },
  'ssh-mldsa44-ed25519@openssh.com': { kind: 'mldsa44-ed25519', fileName: 'id_mldsa44_ed25519' },
  'ecdsa-sha2-nistp256': { kind: 'ecdsa', fileName: 'id_ecdsa', bits: 256 },
  'ecdsa-sha2-nistp384': { kind: 'ecdsa', fileName: 'id_ecdsa', bits: 384 },
  'ecdsa-sha2-nistp521': { kind: 'ecdsa', fileName: 'id_ecdsa', bits: 521 },
}

const securityKeys = ['ecdsa-sk', 'ed25519-sk', 'sk-ecdsa-sha2-nistp256@openssh.com', 'sk-ssh-ed25519@openssh.com']

/** What -O may say of a key in a security key. */
const enrolmentOptions =
  /^(no-touch-required$|verify-required$|resident$|(device|user|challenge|write-attestation|application)=)/i

/** Checks the options as ssh-keygen does, then says why there can be no such key. */
function refuseSecurityKey({ options, quiet }: Settings, name: string): never {
  if (!quiet) print(`Generating public/private ${name} key pair.\n`)
  for (const option of options) {
    if (!enrolmentOptions.test(option)) fatal(`Option "${option}" is unsupported for FIDO authenticator enrollment`)
    if (/^application=(?!ssh:)/i.test(option)) fatal('FIDO application string must begin with "ssh:"')
  }
  return fatal(
    `Key enrollment failed: keys of type ${name} live in a security key, and no provider for one is available`,
  )
}

function keyType(name: string): KeyType {
  const wanted = name.toLowerCase()
  return Object.hasOwn(types, wanted) ? types[wanted]! : fatal(`unknown key type ${name}`)
}

const rsaBits = { minimum: 1024, maximum: 16384 } as const

function checkBits({ kind }: KeyType, bits: number | undefined): void {
  if (bits === undefined) return
  if (kind === 'rsa' && bits < rsaBits.minimum) fatal(`Invalid RSA key length: minimum is ${rsaBits.minimum} bits`)
  if (kind === 'rsa' && bits > rsaBits.maximum) fatal(`Invalid RSA key length: maximum is ${rsaBits.maximum} bits`)
  if (kind === 'ecdsa' && ![256, 384, 521].includes(bits))
    fatal('Invalid ECDSA key length: valid lengths are 256, 384 or 521 bits')
  if (kind === 'dsa' && bits !== 1024) fatal('Invalid DSA key length: must be 1024 bits')
}

/** What a key's comment is unless -C says otherwise. */
export const defaultComment = (): string => `${userInfo().username}@${hostname()}`

/** Makes a key pair, which is what ssh-keygen does when no flag asks for another work. */
export async function generate(settings: Settings): Promise<number> {
  const { quiet, text, fingerprintHash } = settings
  const name = text.get('t') ?? 'ed25519'
  if (securityKeys.includes(name.toLowerCase())) return refuseSecurityKey(settings, name)
  const type = keyType(name)
  const bits = settings.bits ?? type.bits
  checkBits(type, bits)
  if (!quiet) print(`Generating public/private ${name} key pair.\n`)
  const key = generateKey(type.kind, bits)
  const file = keyFile(settings, 'Enter file in which to save the key', type.fileName)
  makeSshFolder(file, quiet)
  if (!confirmOverwrite(file)) return 1
  const passphrase =
    text.get('P') ??
    text.get('N') ??
    (await askNewPassphrase(`Enter passphrase for "${file}" (empty for no passphrase): `))
  const comment = text.get('C') ?? defaultComment()
  try {
    await savePrivate(file, key, settings, { passphrase, comment })
  } catch (error) {
    complain(`Saving key "${file}" failed: ${problemOf(error)}`)
    return 1
  }
  key.dispose()
  if (!quiet) print(`Your identification has been saved in ${file}\n`)
  const { publicKey } = key
  try {
    savePublic(`${file}.pub`, publicKey, comment)
  } catch (error) {
    fatal(`Unable to save public key to ${file}.pub: ${problemOf(error)}`)
  }
  if (!quiet) {
    print(`Your public key has been saved in ${file}.pub\nThe key fingerprint is:\n`)
    print(`${fingerprint(publicKey.blob, fingerprintHash)} ${comment}\n`)
    print(`The key's randomart image is:\n${randomart(publicKey, fingerprintHash)}\n`)
  }
  return 0
}

/** Makes ~/.ssh when the key is to go there. */
function makeSshFolder(file: string, quiet: boolean): void {
  const folder = `${userInfo().homedir}/.ssh`
  if (!file.startsWith(`${folder}/`) || statSync(folder, { throwIfNoEntry: false })) return
  try {
    mkdirSync(folder, { mode: 0o700 })
    if (!quiet) complain(`Created directory '${folder}'.`)
  } catch (error) {
    complain(`Could not create directory '${folder}' (${systemErrorText(error) ?? messageOf(error)}).`)
  }
}
