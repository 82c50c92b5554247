import type { PublicKey } from '../../lib/keys/public-key.ts'
import { compareSshfp, parseSshfp } from '../../lib/keys/sshfp.ts'
import type { Log } from '../../lib/log.ts'
import { canonicalAddress } from '../openssh/address.ts'

/** The fingerprints that the DNS has for a host, or why there are none. */
export type SshfpAnswer =
  | { readonly records: readonly Buffer[]; readonly secure: boolean; readonly failure?: undefined }
  | { readonly failure: string }

/** Asks the DNS for the SSHFP records of a host. */
export type SshfpLookup = (host: string) => Promise<SshfpAnswer>

/**
 * What the DNS says of a key. `secure-match`: it has its fingerprint, no other one of its kind, and the answer was
 * validated; `mismatch`: it has fingerprints, and the key is none of them; `nothing`: no answer that says anything.
 */
export type DnsVerdict = 'secure-match' | 'match' | 'mismatch' | 'nothing'

/** Judges a plain key by the SSHFP records of its host (RFC 4255), logging as ssh does. */
export async function askSshfp(host: string, key: PublicKey, lookUp: SshfpLookup, log: Log): Promise<DnsVerdict> {
  if (canonicalAddress(host) !== undefined) {
    log.debug1?.('skipped DNS lookup for numerical hostname')
    return 'nothing'
  }
  const answer = await lookUp(host)
  if (answer.failure !== undefined) {
    log.verbose?.(`DNS lookup error: ${answer.failure}`)
    return 'nothing'
  }
  const { records, secure } = answer
  log.debug1?.(`found ${records.length} ${secure ? 'secure' : 'insecure'} fingerprints in DNS`)
  const results = new Set<string>()
  for (const data of records) {
    const record = parseSshfp(data)
    if (!record) {
      log.verbose?.('Error parsing fingerprint from DNS.')
      continue
    }
    const result = compareSshfp(key, record)
    if (result === 'unknown') {
      log.error('Error calculating key fingerprint.')
      return 'nothing'
    }
    if (result !== 'other') {
      const word = result === 'match' ? 'matched' : 'failed'
      log.debug1?.(`verify_host_key_dns: ${word} SSHFP type ${record.algorithm} fptype ${record.digestType}`)
    }
    results.add(result)
  }
  if (records.length === 0) {
    log.debug1?.('no host key fingerprint found in DNS')
    return 'nothing'
  }
  const matches = results.has('match') && !results.has('mismatch')
  log.debug1?.(`${matches ? 'matching' : 'mismatching'} host key fingerprint found in DNS`)
  if (!matches) return 'mismatch'
  return secure ? 'secure-match' : 'match'
}
