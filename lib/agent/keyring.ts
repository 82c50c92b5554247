import { AgentError } from '../errors.ts'
import type { Certificate } from '../keys/certificate.ts'
import { findFamily } from '../keys/families/index.ts'
import { PrivateKey } from '../keys/private-key.ts'
import type { PublicKey } from '../keys/public-key.ts'
import { type Log, silentLog } from '../log.ts'
import { Reader } from '../wire/reader.ts'
import { encode, Writer } from '../wire/writer.ts'
import type { KeyConstraints } from './constraints.ts'
import type { DestinationConstraint } from './destinations.ts'
import { openSecrets, type SealedSecrets, sealSecrets } from './lock.ts'
import { keyLimit, secretRoom } from './messages.ts'

/** Time as the agent needs it. */
export interface AgentClock {
  /** Seconds from any beginning; only ever more, also while the machine sleeps. */
  now(): number
  /** Seconds since 1970. */
  wallTime(): bigint
  /** Calls back after so many seconds. @returns what takes it back */
  after(seconds: number, action: () => void): () => void
}

/** A question to the user, whether a key may sign. */
export interface Confirmation {
  readonly publicKey: PublicKey
  readonly comment: string
  /** What for, where the agent knows. */
  readonly purpose: string | undefined
}

export interface KeyringOptions {
  readonly clock: AgentClock
  /** Asks the user; without it, keys that want this cannot sign. */
  readonly confirm?: (question: Confirmation) => Promise<boolean>
  /** Seconds that keys live which were added without a lifetime. */
  readonly lifetime?: number | undefined
  readonly log?: Log
  /** Called when keys went, or were locked away: OpenSSL's copies of them go when the garbage is collected. */
  readonly forgotten?: () => void
}

/** A key as an agent shows it. */
export interface HeldKey {
  readonly publicKey: PublicKey
  readonly certificate: Certificate | undefined
  /** What it goes by: the certificate's blob, else the key's. */
  readonly blob: Buffer
  readonly comment: string
  readonly confirm: boolean
  readonly destinations: readonly DestinationConstraint[]
}

interface Entry extends HeldKey {
  /** Undefined while the agent is locked, and once it was removed. */
  key: PrivateKey | undefined
  /** By the clock. */
  readonly deadline: number | undefined
}

/** A wrong passphrase costs its asker a tenth of a second more each time, up to ten (OpenSSH's numbers). */
const delayStep = 0.1
const delaySteps = 100
/** Longest that a timer runs, in seconds: timers stand still while the machine sleeps, the clock does not. */
const timerLimit = 60

/** The keys of an agent. Secrets are wiped when a key goes, and encrypted while the agent is locked. */
export class Keyring {
  readonly #clock: AgentClock
  readonly #confirm: KeyringOptions['confirm']
  readonly #lifetime: number | undefined
  readonly #log: Log
  readonly #forgotten: () => void
  /** By blob, in the order in which they were added. */
  readonly #entries = new Map<string, Entry>()
  #sealed: SealedSecrets | undefined
  #failures = 0
  /** Attempts to unlock take turns, so that many connections guess no faster than one. */
  #unlocking: Promise<unknown> = Promise.resolve()
  /** When the first key goes. */
  #deadline: number | undefined
  #cancelTimer: (() => void) | undefined

  constructor({ clock, confirm, lifetime, log = silentLog, forgotten = () => {} }: KeyringOptions) {
    this.#forgotten = forgotten
    this.#clock = clock
    this.#confirm = confirm
    this.#lifetime = lifetime
    this.#log = log
  }

  get isLocked(): boolean {
    return this.#sealed !== undefined
  }

  /** Seconds since 1970, by the agent's clock. */
  get wallTime(): bigint {
    return this.#clock.wallTime()
  }

  /** None while locked. */
  list(): HeldKey[] {
    this.#expire()
    return this.isLocked ? [] : [...this.#entries.values()]
  }

  /** Undefined while locked. */
  find(blob: Buffer): HeldKey | undefined {
    this.#expire()
    return this.isLocked ? undefined : this.#entries.get(keyOf(blob))
  }

  /**
   * Holds a key from now on; one that is there already gets the new constraints and comment.
   * @throws AgentError `refused` when locked or full; then the key is the caller's still
   */
  add(key: PrivateKey, certificate: Certificate | undefined, comment: string, constraints: KeyConstraints): void {
    this.#expire()
    const blob = certificate?.blob ?? key.publicKey.blob
    const old = this.#entries.get(keyOf(blob))
    if (this.isLocked) throw new AgentError('locked', 'agent is locked')
    if (!old && this.#entries.size >= keyLimit) throw new AgentError('refused', 'agent holds as many keys as it can')
    const lifetime = constraints.lifetime ?? this.#lifetime
    const { publicKey } = key
    const { confirm = false, destinations = [] } = constraints
    const deadline = lifetime === undefined ? undefined : this.#clock.now() + lifetime
    this.#entries.set(keyOf(blob), { key, publicKey, certificate, blob, comment, confirm, destinations, deadline })
    if (old) this.#wipe(old)
    this.#watchDeadline()
  }

  /** @returns whether it was there */
  remove(blob: Buffer): boolean {
    this.#expire()
    const entry = this.isLocked ? undefined : this.#entries.get(keyOf(blob))
    if (!entry) return false
    this.#entries.delete(keyOf(blob))
    this.#wipe(entry)
    return true
  }

  removeAll(): void {
    for (const entry of this.#entries.values()) this.#wipe(entry)
    this.#entries.clear()
    this.#watchDeadline()
  }

  /**
   * An encoded signature; a promise of it when the user is asked first.
   * @throws AgentError `refused` | KeyError
   */
  sign(held: HeldKey, data: Buffer, algorithm: string, purpose?: string): Buffer | Promise<Buffer> {
    if (!held.confirm) return this.#signNow(held, data, algorithm)
    const { publicKey, comment } = held
    const answer = this.#confirm?.({ publicKey, comment, purpose }) ?? Promise.resolve(false)
    return answer.then(allowed => {
      if (!allowed) throw new AgentError('refused', 'user refused key')
      // The key may have gone while the question was open.
      this.#expire()
      return this.#signNow(held, data, algorithm)
    })
  }

  #signNow({ blob }: HeldKey, data: Buffer, algorithm: string): Buffer {
    const key = this.#entries.get(keyOf(blob))?.key
    if (!key) throw new AgentError('refused', 'key is gone')
    return key.sign(data, algorithm)
  }

  /** Encrypts all keys under a passphrase. @returns false when locked already or the passphrase is empty */
  lock(passphrase: Buffer): boolean {
    if (this.isLocked || passphrase.length === 0) return false
    this.#expire()
    const parts = [...this.#entries.values()].map(sealablePart)
    const secrets = Buffer.concat(parts)
    this.#sealed = sealSecrets(passphrase, secrets)
    for (const part of [secrets, ...parts]) part.fill(0)
    for (const entry of this.#entries.values()) this.#wipe(entry)
    return true
  }

  /** Takes the keys back. Resolves to false, after a while that grows each time, for a wrong passphrase. */
  unlock(passphrase: Buffer): Promise<boolean> {
    const attempt = this.#unlocking.then(() => this.#tryUnlock(passphrase))
    this.#unlocking = attempt.catch(() => {})
    return attempt
  }

  async #tryUnlock(passphrase: Buffer): Promise<boolean> {
    if (!this.#sealed || passphrase.length === 0) return false
    const secrets = openSecrets(passphrase, this.#sealed)
    if (!secrets) {
      this.#failures = Math.min(this.#failures + 1, delaySteps)
      const delay = delayStep * this.#failures
      this.#log.debug1?.(`unlock failed, delaying ${delay.toFixed(1)} seconds`)
      await new Promise<void>(resolve => this.#clock.after(delay, resolve))
      return false
    }
    this.#failures = 0
    this.#sealed = undefined
    const reader = new Reader(secrets)
    while (reader.remaining > 0) {
      const [blob, secret] = [reader.string(), reader.string()]
      // Keys that expired meanwhile stay away.
      const entry = this.#entries.get(keyOf(blob))
      if (entry) entry.key = keyFrom(entry, secret)
    }
    secrets.fill(0)
    this.#expire()
    return true
  }

  #wipe(entry: Entry): void {
    entry.key?.dispose()
    entry.key = undefined
    this.#forgotten()
  }

  /** Forgets keys whose time is over. */
  #expire(): void {
    if (this.#deadline === undefined || this.#clock.now() < this.#deadline) return
    const now = this.#clock.now()
    for (const [name, entry] of this.#entries) {
      if (entry.deadline === undefined || entry.deadline > now) continue
      this.#log.debug1?.(`expiring key '${entry.comment}'`)
      this.#entries.delete(name)
      this.#wipe(entry)
    }
    this.#watchDeadline()
  }

  #watchDeadline(): void {
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    const deadlines = [...this.#entries.values()].flatMap(({ deadline }) => deadline ?? [])
    this.#deadline = deadlines.length > 0 ? Math.min(...deadlines) : undefined
    if (this.#deadline === undefined) return
    const delay = Math.min(Math.max(this.#deadline - this.#clock.now(), 0), timerLimit)
    this.#cancelTimer = this.#clock.after(delay, () => {
      this.#expire()
      this.#watchDeadline()
    })
  }
}

const keyOf = (blob: Buffer): string => blob.toString('latin1')

/** The name of a key and its secret. */
function sealablePart({ blob, key }: Entry): Buffer {
  const secret = new Writer(secretRoom)
  if (key) key.family.writePrivate(secret, key.numbers)
  const part = encode(writer => writer.string(blob).uint32(secret.length))
  const whole = Buffer.concat([part, secret.view()])
  secret.buffer.fill(0)
  return whole
}

function keyFrom({ publicKey, comment }: Entry, secret: Buffer): PrivateKey | undefined {
  const family = findFamily(publicKey.type)
  return family && new PrivateKey(family.readPrivate(new Reader(secret)), comment)
}
