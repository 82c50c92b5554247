import { type Log, silentLog } from '../../lib/log.ts'
import type { Authority, Verdict } from '../../lib/userauth/authority.ts'
import type { Peer } from '../../src/api/server.ts'
import type { Account } from '../../src/net/accounts.ts'
import type { SshdOptions } from '../../src/openssh/sshd-config.ts'
import { judgeKey } from './authority-keys.ts'

/**
 * By which keys an account may log in: those that its authorized_keys files, commands and authorities name. `host` is
 * the client's name where names are looked up, else its address; `tell` takes what the user may read after the login.
 */
export function accountAuthority(
  account: Account,
  options: SshdOptions,
  peer: Peer,
  log: Log,
  host = peer.address,
  tell?: (text: string) => void,
): Authority {
  if (!options.pubkeyAuthentication) return {}
  return {
    async publicKey(user, publicKey, certificate, _algorithm, x509): Promise<Verdict> {
      // The files are read for invented users too, so that the time tells nothing.
      const known = user === account.name
      const heard = known ? { log, tell } : { log: silentLog }
      const verdict = await judgeKey(
        { account, options, peer, host, ...heard },
        { publicKey, ...(certificate && { certificate }), ...(x509 && { x509 }) },
      )
      return known ? verdict : { accepted: false }
    },
  }
}
