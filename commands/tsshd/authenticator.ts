import { lookup, lookupService } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { DisconnectError, DisconnectReason, sanitize } from '../../lib/errors.ts'
import type {
  AuthenticationAttempt,
  Authority,
  ServerAuthenticationOptions,
  UserOptions,
  Verdict,
} from '../../lib/userauth/authority.ts'
import type { Peer } from '../../src/api/server.ts'
import { type Account, findAccount } from '../../src/net/accounts.ts'
import type { SshdOptions } from '../../src/openssh/sshd-config.ts'
import { accountAuthority } from './authority.ts'
import { describeKey } from './authority-keys.ts'
import { unobeyedInMatch } from './config-policy.ts'
import type { Host } from './host.ts'
import { fingerprintKind } from './key-judgement.ts'
import { refusal, rootMayLogin, thisMachine } from './login-rules.ts'
import { checkPassword, converseWithPam, type PasswordContext, type PasswordVerdict, pamAccount } from './passwords.ts'
import { accountExpired, isLocked, parseShadow, readShadow } from './shadow.ts'
import type { Offence } from './source-limits.ts'

/** Stands for users who do not exist or may not log in: the same work is done for them, and nothing comes of it. */
const nobody: Account = { name: 'NOUSER', uid: 65_534, gid: 65_534, home: '/nonexistent', shell: '/usr/sbin/nologin' }

/** What no password is, whatever its length. */
const wrongPassword = '\b\n\r\x7fINCORRECT'

/** How sshd's log names what came of an attempt. */
const attemptWords = { accepted: 'Accepted', partial: 'Partial', failed: 'Failed', postponed: 'Postponed' } as const

/** Remarks about keys that are kept, and their longest, in characters. */
const remarkLimit = 256
const remarkLength = 1023

/** How long the client's name is looked up, in milliseconds. */
const lookupTimeout = 5000

/** The authentication of one connection: who it is, which rules hold, what was tried. */
export class Authenticator {
  readonly #host: Host
  readonly #peer: Peer
  #user: string | undefined
  #options: SshdOptions
  #account: Account | undefined
  #tried = false
  #refused = false
  #accountVerdict: Promise<PasswordVerdict> | undefined
  /** Methods that succeeded, as ExposeAuthInfo tells them: empty when it does not. */
  readonly succeeded: string[] = []
  /** Texts for the user's terminal. */
  readonly notes: string[] = []
  mustChangePassword = false
  /** What was found about keys, for `-v` of a user who logged in after all. */
  readonly remarks: string[] = []

  constructor(host: Host, peer: Peer) {
    this.#host = host
    this.#peer = peer
    this.#options = host.config.forConnection(this.#connection())
  }

  /** The rules for this connection: of its address, and of its user once that is known. */
  get options(): SshdOptions {
    return this.#options
  }

  /** Who logs in; undefined while nobody may. */
  get account(): Account | undefined {
    return this.#account
  }

  /** For log lines: `invalid user joe`, or '' before a name came. */
  get userText(): string {
    if (this.#user === undefined) return ''
    return `${this.#account ? '' : 'invalid user '}${sanitize(this.#user, true)}`
  }

  /** What the source of an ended connection is to be blamed for. */
  get offence(): Offence {
    if (this.#refused) return 'refuseconnection'
    if (this.#user !== undefined && !this.#account) return 'invaliduser'
    return this.#tried ? 'authfail' : 'noauth'
  }

  get engineOptions(): Omit<ServerAuthenticationOptions, 'signatureAlgorithms' | 'authenticated'> {
    return { authority: {}, forUser: user => this.#begin(user), attempted: attempt => this.#log(attempt) }
  }

  /** Whether the configuration refuses every connection from there (RefuseConnection). */
  checkRefused(): void {
    if (!this.#options.refuseConnection) return
    this.#refused = true
    const { address, port } = this.#peer
    const user = this.#user === undefined ? '' : ` for ${this.userText}`
    this.#host.log.info?.(`administratively prohibited connection${user} from ${address} port ${port}`)
    throw new DisconnectError('by-us', DisconnectReason.byApplication, 'connection refused by administrator')
  }

  async #begin(user: string): Promise<UserOptions> {
    const { log } = this.#host
    this.#user = user
    const { service } = this.#host
    const known = service === 'everyone' ? findAccount(user) : service.name === user ? service : undefined
    const host = await this.#hostName()
    this.#options = this.#host.config.forConnection({ ...this.#connection(), user, host, invalidUser: !known })
    log.level = this.#host.levelOf(this.#options)
    const { address, port } = this.#peer
    if (!known) log.info?.(`Invalid user ${sanitize(user, true)} from ${address} port ${port}`)
    for (const line of unobeyedInMatch(this.#options, this.#host.config)) log.info?.(line)
    const machine = thisMachine(name => this.#isLocked(name))
    const reason = known && refusal(known, { address, host }, this.#options, machine)
    if (reason) log.info?.(reason)
    this.#account = reason ? undefined : known
    this.checkRefused()
    const banner = this.#options.banner === undefined ? undefined : readBanner(this.#options.banner)
    const { authenticationMethods: lists } = this.#options
    return {
      authority: this.#authority(host),
      maxAttempts: this.#options.maxAuthTries,
      signatureAlgorithms: this.#options.pubkeyAcceptedAlgorithms,
      authorityAlgorithms: this.#options.caSignatureAlgorithms,
      requiredRsaBits: this.#options.requiredRSASize,
      ...(lists.length > 0 && { requiredMethods: lists.map(list => list.split(',')) }),
      ...(banner !== undefined && { banner }),
    }
  }

  #connection() {
    const { address, localAddress, localPort } = this.#peer
    return { host: address, address, localAddress, localPort }
  }

  #isLocked(user: string): boolean {
    if (this.#host.service !== 'everyone') return false
    const entry = parseShadow(readShadow(), user)
    if (!entry) return false
    if (accountExpired(entry, new Date())) {
      this.#host.log.info?.(`Account ${user} has expired`)
      return true
    }
    return isLocked(entry)
  }

  /** The client's name, if it leads back to the address (UseDNS); else the address. */
  async #hostName(): Promise<string> {
    const { address } = this.#peer
    if (!this.#options.useDNS || address === 'UNKNOWN') return address
    const timeout = new Promise<never>((_, reject) => {
      setTimeout(() => reject(new Error('timeout')), lookupTimeout).unref()
    })
    const name = async (): Promise<string> => {
      // By the system's ways, as sshd asks: the hosts file counts, and a name that is no more than an address does not.
      const { hostname: found } = await lookupService(address, this.#peer.port)
      if (isIP(found) !== 0) return address
      const addresses = await lookup(found, { all: true })
      if (addresses.some(one => one.address === address)) return found.toLowerCase()
      this.#host.log.info?.(
        `Address ${address} maps to ${sanitize(found, true)}, but this does not map back to the address.`,
      )
      return address
    }
    return Promise.race([name(), timeout]).catch(() => address)
  }

  #authority(host: string): Authority {
    const options = this.#options
    const { passwords, log } = this.#host
    const account = this.#account ?? nobody
    const keys = accountAuthority(account, options, this.#peer, log, host, text => {
      if (this.remarks.length < remarkLimit) this.remarks.push(text.slice(0, remarkLength))
    })
    const context: PasswordContext = {
      user: this.#user ?? '',
      remoteHost: this.#peer.address,
      options,
      log: log,
    }
    // A right password that lets nobody in must take as long as a wrong one: it is never tried.
    const tried = (method: string, secret: string): string =>
      this.#account && (account.uid !== 0 || rootMayLogin(options.permitRootLogin, method, true))
        ? secret
        : wrongPassword.padEnd(secret.length, '\b').slice(0, secret.length || 1)
    const password = async (secret: string): Promise<Verdict> => {
      if (secret === '' && !options.permitEmptyPasswords) return { accepted: false }
      return this.#judgePassword('password', await checkPassword(passwords, context, tried('password', secret)))
    }
    const offersPassword = options.passwordAuthentication && passwords.kind !== 'none'
    return {
      ...(keys.publicKey &&
        options.pubkeyAuthentication && {
          publicKey: async (user, ...shown) =>
            this.#judge(
              'publickey',
              (await keys.publicKey?.(this.#account ? user : nobody.name, ...shown)) ?? { accepted: false },
            ),
        }),
      ...(offersPassword && { password: (_user, secret) => password(secret) }),
      ...(offersPassword && options.permitEmptyPasswords && { none: () => password('') }),
      ...(options.kbdInteractiveAuthentication &&
        passwords.kind === 'pam' && {
          keyboardInteractive: async (_user, dialogue) =>
            this.#judgePassword(
              'keyboard-interactive',
              await converseWithPam(context, {
                ask: async (...question) =>
                  (await dialogue.ask(...question)).map(answer => tried('keyboard-interactive', answer)),
              }),
            ),
        }),
    }
  }

  async #judgePassword(method: string, { correct, expired, notes }: PasswordVerdict): Promise<Verdict> {
    const verdict = await this.#judge(method, { accepted: correct })
    if (verdict.accepted) {
      this.mustChangePassword ||= expired
      this.notes.push(...notes)
    }
    return verdict
  }

  /** What a method found, under the rules that hold for every method. */
  async #judge(method: string, verdict: Verdict): Promise<Verdict> {
    if (!verdict.accepted) return verdict
    const account = this.#account
    if (!account) return { accepted: false }
    const { log } = this.#host
    if (account.uid === 0) {
      const forced = verdict.permissions?.forceCommand !== undefined
      if (!rootMayLogin(this.#options.permitRootLogin, method, forced)) {
        log.info?.(`ROOT LOGIN REFUSED FROM ${this.#peer.address} port ${this.#peer.port}`)
        return { accepted: false }
      }
    }
    if (this.#host.passwords.kind === 'pam' && method === 'publickey') {
      this.#accountVerdict ??= pamAccount({
        user: account.name,
        remoteHost: this.#peer.address,
        options: this.#options,
        log: log,
      })
      const state = await this.#accountVerdict
      if (!state.correct) return { accepted: false }
      this.mustChangePassword ||= state.expired
    }
    return verdict
  }

  /** `Accepted publickey for joe from 10.0.0.1 port 5 ssh2: ED25519 SHA256:…`, as people and programs look for it. */
  #log(attempt: AuthenticationAttempt): void {
    const { method, outcome, publicKey, failures } = attempt
    if (method !== 'none') this.#tried = true
    const name = method === 'publickey-hostbound-v00@openssh.com' ? 'publickey' : method
    const submethod = name === 'keyboard-interactive' && this.#host.passwords.kind === 'pam' ? '/pam' : ''
    const important =
      outcome === 'accepted' || !this.#account || failures >= this.#options.maxAuthTries / 2 || name === 'password'
    const { log } = this.#host
    const say = important ? log.info : log.verbose
    if (say) {
      const key = publicKey ? `: ${describeKey({ ...attempt, publicKey }, fingerprintKind(this.#options))}` : ''
      const { address, port } = this.#peer
      const what = `${attemptWords[outcome]} ${sanitize(name, true)}${submethod}`
      say(`${what} for ${this.userText} from ${address} port ${port} ssh2${key}`)
    }
    if (this.#options.exposeAuthInfo && (outcome === 'accepted' || outcome === 'partial')) {
      const shown = publicKey ? ` ${publicKey.type} ${publicKey.blob.toString('base64')}` : submethod
      this.succeeded.push(`${name}${shown}`)
    }
  }
}

function readBanner(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
