import { readFileSync } from 'node:fs'
import { sanitize } from '../../lib/errors.ts'
import { fingerprint } from '../../lib/keys/fingerprint.ts'
import type { PublicKey } from '../../lib/keys/public-key.ts'
import type { Log } from '../../lib/log.ts'
import type { Authority, Verdict } from '../../lib/userauth/server.ts'
import type { Peer } from '../../src/api/server.ts'
import { matchAuthorizedKey } from '../../src/openssh/authorized-keys.ts'
import { checkStrictModes } from '../../src/openssh/files.ts'
import type { SshdOptions } from '../../src/openssh/sshd-config.ts'
import type { Account } from './account.ts'

/** Largest authorized_keys file that is read, in bytes. */
const fileLimit = 16 * 1024 * 1024

/** Who may log in: the one account, by the keys that its authorized_keys files name. */
export function accountAuthority(account: Account, options: SshdOptions, peer: Peer, log: Log): Authority {
  const permitted = account.uid !== 0 || options.permitRootLogin !== 'no'
  return {
    begin(user) {
      if (user !== account.name)
        log.info?.(`Invalid user ${sanitize(user, true)} from ${peer.address} port ${peer.port}`)
      else if (!permitted) log.info?.(`ROOT LOGIN REFUSED FROM ${peer.address} port ${peer.port}`)
    },
    ...(options.pubkeyAuthentication && {
      async publicKey(user: string, key: PublicKey): Promise<Verdict> {
        // The files are read for invented users too, so that the time tells nothing.
        const permissions = findKey(account, options, peer, key, log)
        if (!permissions || user !== account.name || !permitted) return { accepted: false }
        if (
          account.uid === 0 &&
          options.permitRootLogin === 'forced-commands-only' &&
          permissions.forceCommand === undefined
        ) {
          return { accepted: false }
        }
        return { accepted: true, permissions }
      },
    }),
  }
}

function findKey(account: Account, options: SshdOptions, peer: Peer, key: PublicKey, log: Log) {
  for (const pattern of options.authorizedKeysFile) {
    if (pattern === 'none') continue
    const path = pattern.replace(
      /%[%huU]/g,
      token => ({ '%%': '%', '%h': account.home, '%u': account.name, '%U': String(account.uid) })[token] ?? token,
    )
    const file = path.startsWith('/') ? path : `${account.home}/${path}`
    const text = readKeys(file, account, options, log)
    const found =
      text === undefined ? undefined : matchAuthorizedKey(text, key, { address: peer.address, now: new Date() })
    if (found) {
      log.debug1?.(`${file}: matching key found: ${key.label} ${fingerprint(key.blob)}`)
      return found.permissions
    }
  }
  return undefined
}

function readKeys(file: string, account: Account, { strictModes }: SshdOptions, log: Log): string | undefined {
  try {
    const problem = strictModes ? checkStrictModes(file, account.home, account.uid) : undefined
    if (problem) {
      log.info?.(problem)
      return undefined
    }
    const contents = readFileSync(file)
    return contents.length <= fileLimit ? contents.toString('latin1') : undefined
  } catch {
    log.debug1?.(`Could not open user '${account.name}' authorized keys '${file}'`)
    return undefined
  }
}
