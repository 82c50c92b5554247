import type { SshdConfig } from '../../src/openssh/resolve-sshd-config.ts'
import { type SshdOptions, sshdKeywords } from '../../src/openssh/sshd-config.ts'

type Property = keyof SshdOptions

/** Keywords whose feature tsshd does not have yet, each with the values that need nothing of it. */
const notObeyed: Partial<Record<Property, (value: unknown) => boolean>> = {
  gssapiAuthentication: isNo,
  gssapiCleanupCredentials: always,
  gssapiDelegateCredentials: always,
  gssapiStrictAcceptorCheck: always,
  hostbasedAuthentication: isNo,
  hostbasedAcceptedAlgorithms: always,
  hostbasedUsesNameFromPacketOnly: isNo,
  ignoreRhosts: always,
  ignoreUserKnownHosts: always,
  logVerbose: isEmpty,
  permitTunnel: isNo,
  x11Forwarding: isNo,
  x11DisplayOffset: always,
  x11UseLocalhost: always,
  xAuthLocation: always,
}

/** Keywords that say where OpenSSH's own programs are, and mean nothing to us. */
const withoutMeaning: ReadonlySet<string> = new Set(['sshdAuthPath', 'sshdSessionPath', 'securityKeyProvider'])

function always(): boolean {
  return true
}
function isNo(value: unknown): boolean {
  return value === false || value === 'no'
}
function isEmpty(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}

/** What each keyword that is set and cannot be obeyed has to be told: one line each. */
export function unobeyed(config: SshdConfig): string[] {
  const told = new Set<string>()
  const domains = config.listenAddress.filter(({ routingDomain }) => routingDomain !== undefined)
  const places = domains.map(({ host }) => `ListenAddress ${host}: routing domains are not supported by this server.`)
  const keywords = config.history.flatMap(({ property, file, line, effective }) => {
    const harmless = notObeyed[property as Property]
    if (!effective || told.has(property)) return []
    const needed = harmless ? !harmless(config[property as Property]) : withoutMeaning.has(property)
    if (!needed) return []
    told.add(property)
    const { name } = sshdKeywords[property as Property]
    return [`${file} line ${line}: ${name} is not supported by this server and has no effect.`]
  })
  return [...places, ...keywords]
}

/** As `unobeyed`, of what a Match block sets for one connection. */
export function unobeyedInMatch(options: SshdOptions, base: SshdOptions): string[] {
  return (Object.keys(notObeyed) as Property[]).flatMap(property => {
    const harmless = notObeyed[property]!
    if (harmless(options[property]) || !harmless(base[property])) return []
    return [`Match: ${sshdKeywords[property].name} is not supported by this server and has no effect.`]
  })
}
