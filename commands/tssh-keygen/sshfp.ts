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

/** Hashes that may be asked for. A record exists for some of them only. */
const knownHashes = ['md5', 'sha1', 'sha256', 'sha384', 'sha512']

function wantedHashes(options: readonly string[]): SshfpHash[] | undefined {
  const printable = Object.keys(sshfpHashes) as SshfpHash[]
  let wanted = printable
  for (const option of options) {
    const [, name] = /^hashalg=(.*)$/i.exec(option) ?? []
    if (name === undefined) {
      complain(`Invalid option "${option}"`)
      return undefined
    }
    if (!knownHashes.includes(name.toLowerCase())) fatal('Unsupported hash algorithm')
    wanted = printable.filter(hash => hash === name.toLowerCase())
  }
  return wanted
}

/** @returns false when there is no such file */
async function printKey(path: string, host: string, { flags, options }: Settings): Promise<boolean> {
  const hashes = wantedHashes(options)
  if (!hashes) return true
  try {
    statSync(path)
    const { key, certificate } = await loadPublic(path)
    const records = certificate ? [] : hashes.flatMap(kind => sshfpRecord(key, kind) ?? [])
    if (records.length === 0) complain('unsupported algorithm and/or digest_type')
    for (const record of records) print(`${formatSshfp(host, record, flags.has('g'))}\n`)
    return true
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' && !statSync(path, { throwIfNoEntry: false })) return false
    return fatal(`Failed to read v2 public key from "${path}": ${problemOf(error)}`)
  }
}
