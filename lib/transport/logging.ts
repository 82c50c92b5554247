import { sanitize } from '../errors.ts'
import type { Log } from '../log.ts'
import type { KexInitFields } from './messages.ts'
import type { NegotiatedAlgorithms } from './transport.ts'

/** What the transport logs of a negotiation, in the words that users of OpenSSH look for. */

/** Messages so frequent that naming each would bury the log. */
export function isNoisy(number: number): boolean {
  return (number >= 93 && number <= 95) || number >= 192
}

/** Both proposals, at debug2. `role` is ours. */
export function logProposals(log: Log, role: 'client' | 'server', ours: KexInitFields, theirs: KexInitFields): void {
  if (!log.debug2) return
  const peer = role === 'client' ? 'server' : 'client'
  const lines = [
    `local ${role} KEXINIT proposal`,
    ...describeProposal(ours),
    `peer ${peer} KEXINIT proposal`,
    ...describeProposal(theirs),
  ]
  for (const line of lines) log.debug2(sanitize(line, true))
}

/** The outcome, at debug1. */
export function logNegotiated(log: Log, negotiated: NegotiatedAlgorithms): void {
  if (!log.debug1) return
  log.debug1(`kex: algorithm: ${negotiated.kex}`)
  log.debug1(`kex: host key algorithm: ${negotiated.hostKey}`)
  for (const [way, names] of [
    ['server->client', negotiated.serverToClient],
    ['client->server', negotiated.clientToServer],
  ] as const) {
    const { cipher, mac, compression } = names
    log.debug1(`kex: ${way} cipher: ${cipher} MAC: ${mac} compression: ${compression}`)
  }
}

function describeProposal(proposal: KexInitFields): string[] {
  return [
    `KEX algorithms: ${proposal.kex.join(',')}`,
    `host key algorithms: ${proposal.hostKey.join(',')}`,
    `ciphers ctos: ${proposal.cipherClientToServer.join(',')}`,
    `ciphers stoc: ${proposal.cipherServerToClient.join(',')}`,
    `MACs ctos: ${proposal.macClientToServer.join(',')}`,
    `MACs stoc: ${proposal.macServerToClient.join(',')}`,
    `compression ctos: ${proposal.compressionClientToServer.join(',')}`,
    `compression stoc: ${proposal.compressionServerToClient.join(',')}`,
    `languages ctos: ${proposal.languageClientToServer.join(',')}`,
    `languages stoc: ${proposal.languageServerToClient.join(',')}`,
    `first_kex_follows ${Number(proposal.firstKexPacketFollows)}`,
    `reserved ${proposal.reserved}`,
  ]
}
