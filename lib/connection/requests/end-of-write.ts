import type { Channel } from '../channel.ts'
import type { Connection } from '../connection.ts'
import { isKindred } from './peer.ts'

/**
 * Tells the peer that we read no more from this session (PROTOCOL §2.1); only peers that know the request. What is on
 * its way still arrives, and its consumption has still to be told.
 */
export function sendEndOfWrite(connection: Connection, channel: Channel): void {
  if (isKindred(connection)) channel.notify('eow@openssh.com')
}
