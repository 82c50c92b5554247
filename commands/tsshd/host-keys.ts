import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { messageOf } from '../../lib/errors.ts'
import { formatOpensshV1 } from '../../lib/keys/formats/openssh-v1.ts'
import { parsePrivateKey } from '../../lib/keys/formats/private-file.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import { formatPublicKeyLine } from '../../lib/keys/public-key.ts'
import { keySigner, type Signer } from '../../lib/keys/signer.ts'
import type { Log } from '../../lib/log.ts'
import { CommandError } from '../../src/command/errors.ts'

/** Reads host keys; one that cannot be used is reported and passed over. @throws CommandError when none is left */
export function loadHostKeys(files: readonly string[], log: Log): Signer[] {
  const signers = files.flatMap(file => loadHostKey(file, log) ?? [])
  if (signers.length === 0) throw new CommandError('tsshd: no hostkeys available -- exiting.', 1)
  return signers
}

function loadHostKey(file: string, log: Log): Signer | undefined {
  try {
    const { mode, uid } = statSync(file)
    if (uid === process.getuid?.() && mode & 0o077) {
      log.error(`Permissions 0${(mode & 0o777).toString(8)} for '${file}' are too open.`)
      return undefined
    }
    return keySigner(parsePrivateKey(readFileSync(file)), file)
  } catch (error) {
    log.error(`Unable to load host key "${file}": ${messageOf(error)}`)
    return undefined
  }
}

/** The host key of a server without a configuration: made when it is first needed. */
export function ownHostKey(home: string, log: Log): string {
  const file = join(home, '.tsshd', 'ssh_host_ed25519_key')
  try {
    statSync(file)
  } catch {
    const key = generateKey('ed25519', undefined, 'tsshd')
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    writeFileSync(file, formatOpensshV1(key), { mode: 0o600, flag: 'wx' })
    writeFileSync(`${file}.pub`, `${formatPublicKeyLine(key.publicKey, 'tsshd')}\n`)
    log.info?.(`Made a host key: ${file}`)
  }
  return file
}
