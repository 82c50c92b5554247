import { formatAddress, parseAddress } from '../../src/openssh/address.ts'
import { matchAddressList } from '../../src/openssh/pattern.ts'
import type { SshdOptions } from '../../src/openssh/sshd-config.ts'

/** How a connection ended that did not log in, as far as its source is to be blamed (PerSourcePenalties). */
export type Offence = 'crash' | 'authfail' | 'noauth' | 'invaliduser' | 'grace-exceeded' | 'refuseconnection'

const reasons: Readonly<Record<Offence, string>> = {
  crash: 'penalty: caused crash',
  authfail: 'penalty: failed authentication',
  noauth: 'penalty: connections without attempting authentication',
  invaliduser: 'penalty: attempted authentication by invalid user',
  'grace-exceeded': 'penalty: exceeded LoginGraceTime',
  refuseconnection: 'penalty: connection prohibited by RefuseConnection',
}

export type LimitOptions = Pick<
  SshdOptions,
  'maxStartups' | 'perSourceMaxStartups' | 'perSourceNetBlockSize' | 'perSourcePenalties' | 'perSourcePenaltyExemptList'
>

interface Penalty {
  readonly reason: string
  /** In milliseconds of the clock given. */
  expiry: number
  /** A penalty counts once it passed the minimum. */
  active: boolean
}

/** An announcement for the log. */
export interface PenaltyNotice {
  readonly level: 'info' | 'verbose'
  readonly text: string
}

/**
 * Which sources may connect now: MaxStartups, PerSourceMaxStartups and PerSourcePenalties of sshd_config(5). Addresses
 * that agree in the bits of PerSourceNetBlockSize are one source.
 */
export class SourceLimits {
  readonly #options: LimitOptions
  readonly #now: () => number
  readonly #random: () => number
  /** Connections that did not log in yet, by source. */
  readonly #startups = new Map<string, number>()
  readonly #penalties = { ipv4: new Map<string, Penalty>(), ipv6: new Map<string, Penalty>() }
  #waiting = 0

  /** `now` in milliseconds, never going back; `random` in [0, 1). */
  constructor(options: LimitOptions, now: () => number = () => performance.now(), random: () => number = Math.random) {
    this.#options = options
    this.#now = now
    this.#random = random
  }

  /** Connections that did not log in yet. */
  get waiting(): number {
    return this.#waiting
  }

  /** Why a connection from here is to be dropped, in sshd's words; undefined counts it as waiting until `settled`. */
  admit(address: string): string | undefined {
    const penalty = this.#penaltyOf(address)
    if (penalty !== undefined) return penalty
    const source = this.#source(address)
    if (this.#tooMany() || (this.#startups.get(source) ?? 0) >= this.#options.perSourceMaxStartups) return 'Maxstartups'
    this.#startups.set(source, (this.#startups.get(source) ?? 0) + 1)
    this.#waiting++
    return undefined
  }

  /** A connection that was admitted logged in or ended. Call once. */
  settled(address: string): void {
    const source = this.#source(address)
    const left = (this.#startups.get(source) ?? 1) - 1
    if (left > 0) this.#startups.set(source, left)
    else this.#startups.delete(source)
    this.#waiting--
  }

  /** Remembers an offence. @returns what to log of it */
  penalise(address: string, offence: Offence): PenaltyNotice | undefined {
    const { perSourcePenalties: settings } = this.#options
    const seconds = settings[offence]
    if (!settings.enabled || seconds <= 0 || this.#isExempt(address) || !parseAddress(address)) return undefined
    const { table, limit, overflow, family } = this.#table(address)
    this.#expire(table)
    const source = this.#source(address)
    const now = this.#now()
    const known = table.get(source)
    const reason = reasons[offence]
    if (!known) {
      if (table.size >= limit && overflow === 'deny-all')
        return { level: 'verbose', text: `${family} penalty table full, cannot penalise ${source} for ${reason}` }
      const active = seconds > settings.min
      table.set(source, { reason, expiry: now + seconds * 1000, active })
      this.#makeRoom(table, limit)
      return {
        level: active ? 'info' : 'verbose',
        text: `${family}: new ${source} ${active ? 'active' : 'deferred'} penalty of ${seconds.toFixed(3)} seconds for ${reason}`,
      }
    }
    const expiry = Math.min(known.expiry + seconds * 1000, now + settings.max * 1000)
    const activated = !known.active && expiry - now > settings.min * 1000
    table.set(source, { reason, expiry, active: known.active || activated })
    if (!activated) return undefined
    const text = `${source}: activating ${family} penalty of ${((expiry - now) / 1000).toFixed(3)} seconds for ${reason}`
    return { level: 'info', text }
  }

  /** Random early drop: from `begin` on, `rate` percent, rising to all at `full`. */
  #tooMany(): boolean {
    const { begin, rate, full } = this.#options.maxStartups
    if (this.#waiting < begin) return false
    if (this.#waiting >= full || rate === 100) return true
    const percent = rate + Math.floor(((100 - rate) * (this.#waiting - begin)) / (full - begin))
    return this.#random() * 100 < percent
  }

  #penaltyOf(address: string): string | undefined {
    if (!this.#options.perSourcePenalties.enabled || this.#isExempt(address)) return undefined
    const { table, limit, overflow } = this.#table(address)
    this.#expire(table)
    if (table.size >= limit && overflow === 'deny-all') return 'too many penalised addresses'
    const penalty = table.get(this.#source(address))
    return penalty?.active ? penalty.reason : undefined
  }

  #isExempt(address: string): boolean {
    const list = this.#options.perSourcePenaltyExemptList
    return list !== undefined && matchAddressList(address, list) === 'match'
  }

  #table(address: string) {
    const { perSourcePenalties: settings } = this.#options
    return parseAddress(address)?.bytes.length === 16
      ? {
          family: 'ipv6',
          table: this.#penalties.ipv6,
          limit: settings['max-sources6'],
          overflow: settings.overflow6,
        }
      : { family: 'ipv4', table: this.#penalties.ipv4, limit: settings['max-sources4'], overflow: settings.overflow }
  }

  #expire(table: Map<string, Penalty>): void {
    const now = this.#now()
    for (const [source, { expiry }] of table) if (expiry < now) table.delete(source)
  }

  /** Whoever would be free soonest goes. */
  #makeRoom(table: Map<string, Penalty>, limit: number): void {
    while (table.size > limit) {
      const [soonest] = [...table].sort(([, one], [, other]) => one.expiry - other.expiry)
      if (!soonest) return
      table.delete(soonest[0])
    }
  }

  /** The network that an address is in, as `10.0.0.0/8`. */
  #source(address: string): string {
    const parsed = parseAddress(address)
    if (!parsed) return address
    const { ipv4, ipv6 } = this.#options.perSourceNetBlockSize
    const bits = parsed.bytes.length === 16 ? ipv6 : ipv4
    const bytes = parsed.bytes.map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, bits - index * 8))))
    return `${formatAddress({ bytes, zone: parsed.zone })}/${bits}`
  }
}
