import { statSync } from 'node:fs'
import { formatSshfp, type SshfpHash, sshfpHashes, sshfpRecord } from '../../lib/keys/sshfp.ts'
import { systemErrorCode } from '../../src/openssh/system-error.ts'
import { loadPublic, problemOf } from './keys.ts'
import { fatal, type Settings } from './settings.ts'
import { complain, print } from './terminal.ts'

const hostKeys = ['rsa', 'ecdsa', 'ed25519'].map(type => `/etc/ssh/ssh_host_${type}_key`)

/** -r: the fingerprints of a key, or of this machine's host keys, as DNS records. */
export async function printRecords(settings: Settings): Promise<number> {
  const host = settings.text.get('r')!
  const { file } = settings
  let found = false
  for (const path of file === undefined ? hostKeys : [file]) {
    if (await printKey(path, host, settings)) found = true
  }
  if (found) return 0
  return fatal(file === undefined ? 'no keys found.' : `${file}: No such file or directory`)
}

function wantedHashes(options: readonly string[]): SshfpHash[] {
  const known = Object.keys(sshfpHashes) as SshfpHash[]
  let wanted = known
  for (const option of options) {
    const [, name] = /^hashalg=(.*)$/i.exec(option) ?? []
    if (name === undefined) {
      complain(`Invalid option "${option}"`)
      return []
    }
    wanted = known.filter(hash => hash === name.toLowerCase())
    if (wanted.length === 0) fatal('Unsupported hash algorithm')
  }
  return wanted
}

/** @returns false when there is no such file */
async function printKey(path: string, host: string, { flags, options }: Settings): Promise<boolean> {
  const hashes = wantedHashes(options)
  try {
    statSync(path)
    const { key, certificate } = await loadPublic(path)
    const records = certificate ? [] : hashes.flatMap(kind => sshfpRecord(key, kind) ?? [])
    if (records.length === 0 && hashes.length > 0) complain('unsupported algorithm and/or digest_type')
    for (const record of records) print(`${formatSshfp(host, record, flags.has('g'))}\n`)
    return true
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' && !statSync(path, { throwIfNoEntry: false })) return false
    return fatal(`Failed to read v2 public key from "${path}": ${problemOf(error)}`)
  }
}
