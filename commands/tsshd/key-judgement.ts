import { messageOf } from '../../lib/errors.ts'
import type { Certificate } from '../../lib/keys/certificate.ts'
import { type FingerprintHash, fingerprint } from '../../lib/keys/fingerprint.ts'
import type { PublicKey } from '../../lib/keys/public-key.ts'
import type { ShownKey } from '../../lib/keys/shown-key.ts'
import type { Log } from '../../lib/log.ts'
import type { Peer } from '../../src/api/server.ts'
import type { Account } from '../../src/net/accounts.ts'
import type { LoginContext } from '../../src/openssh/authorized-keys.ts'
import { isRevoked as isRevokedBy } from '../../src/openssh/revoked-keys.ts'
import type { SshdOptions } from '../../src/openssh/sshd-config.ts'
import { allowsForwarding } from './forwarding/rules.ts'

/** Who wants to log in, and by which rules. */
export interface KeyJudgement {
  readonly account: Account
  /** For this user. */
  readonly options: SshdOptions
  readonly peer: Peer
  /** The client's name, where names are looked up (UseDNS). */
  readonly host?: string
  readonly log: Log
  /** Takes what the user is told after the login. */
  readonly tell?: ((text: string) => void) | undefined
}

export const contextOf = ({ account, options, peer, host, log, tell }: KeyJudgement, source: string): LoginContext => ({
  user: account.name,
  address: peer.address,
  ...(host !== undefined && { host }),
  now: new Date(),
  source,
  log,
  tell,
  effective: {
    environment: options.permitUserEnvironment !== false,
    permitOpen: allowsForwarding(options.allowTcpForwarding, 'local'),
    permitListen: allowsForwarding(options.allowTcpForwarding, 'remote'),
  },
})

/** By RevokedKeys; a list that cannot be read revokes everything. */
export function isRevoked({ options, log }: KeyJudgement, key: PublicKey, certificate?: Certificate): boolean {
  const name = (): string => `${key.label} ${hashOf(options, key)}`
  return options.revokedKeys.some(file => {
    try {
      const revoked = isRevokedBy(file, key, certificate)
      if (revoked) log.error(`Authentication key ${name()} revoked by file ${file}`)
      return revoked
    } catch (error) {
      log.error(`Error checking authentication key ${name()} in revoked keys file ${file}: ${messageOf(error)}`)
      return true
    }
  })
}

export const hashOf = (options: SshdOptions, { blob }: PublicKey): string => fingerprint(blob, fingerprintKind(options))

/** FingerprintHash as the engine calls it. */
export const fingerprintKind = ({ fingerprintHash }: SshdOptions): FingerprintHash =>
  fingerprintHash.toLowerCase() as FingerprintHash

/** What both commands may be told. */
export function tokensOf({ account, options, peer }: KeyJudgement, shown: ShownKey): Record<string, string> {
  const { publicKey, certificate, x509 } = shown
  return {
    C: `${peer.localAddress} ${peer.localPort} ${peer.address} ${peer.port}`,
    // Routing domains are another system's.
    D: '',
    U: String(account.uid),
    u: account.name,
    h: account.home,
    t: x509?.algorithm ?? (certificate ?? publicKey).type,
    f: hashOf(options, publicKey),
    k: (x509 ?? certificate ?? publicKey).blob.toString('base64'),
  }
}
