import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** A socket of a Node that can set the type of service (`IP_TOS`, `IPV6_TCLASS`). */
interface Marked {
  setTypeOfService(value: number): void
}

const canMark = (socket: object): socket is Marked => 'setTypeOfService' in socket

/** Milliseconds that loading a C library waits, so that a prompt comes first. */
const patience = 100

/**
 * Marks what a socket sends (IPQoS). Only newer versions of Node can by themselves, with others it takes the C library
 * (package koffi); where neither is there, and on what is no socket, nothing happens.
 */
export function markTraffic(stream: Duplex, value: number | 'none'): void {
  // An unmarked socket has 0.
  if (!(stream instanceof Socket) || value === 'none' || value === 0) return
  if (canMark(stream)) {
    try {
      stream.setTypeOfService(value)
    } catch {
      // As with ssh, no reason not to go on.
    }
    return
  }
  setTimeout(() => void markByLibrary(stream, value), patience).unref()
}

async function markByLibrary(stream: Socket, value: number): Promise<void> {
  const { setTrafficClass } = await import('../native/process.ts')
  const { _handle: handle } = stream as Socket & { readonly _handle?: { readonly fd?: number } | null }
  if (handle?.fd === undefined || handle.fd < 0) return
  try {
    setTrafficClass(handle.fd, stream.remoteFamily === 'IPv6' ? 'ipv6' : 'ipv4', value)
  } catch {
    // There is no C library to call.
  }
}
