import { rmSync, statSync } from 'node:fs'
import { messageOf } from '../../lib/errors.ts'
import { type GeneratedKind, generateKey } from '../../lib/keys/private-key.ts'
import { systemErrorText } from '../../src/openssh/system-error.ts'
import { defaultComment } from './generate.ts'
import { problemOf, savePrivate, savePublic } from './keys.ts'
import type { Settings } from './settings.ts'
import { complain, print } from './terminal.ts'

const hostKeys: readonly (readonly [kind: GeneratedKind, label: string])[] = [
  ['rsa', 'RSA'],
  ['ecdsa', 'ECDSA'],
  ['ed25519', 'ED25519'],
  ['mldsa44-ed25519', 'MLDSA44-ED25519'],
]

/** -A: makes the host keys that are missing, below the prefix that -f names. */
export async function makeHostKeys(settings: Settings): Promise<number> {
  let begun = false
  for (const [kind, label] of hostKeys) {
    const name = `/etc/ssh/ssh_host_${kind.replace('-', '_')}_key`
    const file = `${settings.file ?? ''}${name}`
    try {
      const status = statSync(file, { throwIfNoEntry: false })
      if (status && status.size > 0) continue
    } catch (error) {
      complain(`Could not stat ${name}: ${systemErrorText(error) ?? messageOf(error)}`)
      begun = false
      continue
    }
    if (!begun) print('tssh-keygen: generating new host keys: ')
    begun = true
    print(`${label} `)
    if (!(await makeHostKey(file, kind, settings))) begun = false
  }
  if (begun) print('\n')
  return 0
}

async function makeHostKey(file: string, kind: GeneratedKind, settings: Settings): Promise<boolean> {
  const key = generateKey(kind)
  const comment = defaultComment()
  try {
    // An empty file, which a crash may have left, gives up its mode with its place.
    rmSync(file, { force: true })
    // A private key alone would keep the public one from ever being made.
    savePublic(`${file}.pub`, key.publicKey, comment)
    await savePrivate(file, key, settings, { passphrase: '', comment })
    return true
  } catch (error) {
    complain(`Saving key "${file}" failed: ${problemOf(error)}`)
    return false
  } finally {
    key.dispose()
  }
}
