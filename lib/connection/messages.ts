/** The messages of the connection protocol (RFC 4254), 80-82 and 90-100. */

import { message } from '../wire/message.ts'
import { boolean, type Field, rest, string, text, uint32 } from '../wire/struct.ts'

/** Users' data is none of a log's business: only its length is shown. */
function lengthOnly(field: Field<Buffer>): Field<Buffer> {
  return { ...field, describe: value => `(${value.length} bytes)` }
}

const payload = lengthOnly(rest)
const data = lengthOnly(string)

export const GlobalRequest = message(80, 'GLOBAL_REQUEST', 'connection', {
  request: text,
  wantReply: boolean,
  payload,
})

export const RequestSuccess = message(81, 'REQUEST_SUCCESS', 'connection', { payload })

export const RequestFailure = message(82, 'REQUEST_FAILURE', 'connection', {})

export const ChannelOpen = message(90, 'CHANNEL_OPEN', 'connection', {
  type: text,
  senderChannel: uint32,
  initialWindow: uint32,
  maximumPacket: uint32,
  payload,
})

export const ChannelOpenConfirmation = message(91, 'CHANNEL_OPEN_CONFIRMATION', 'connection', {
  recipientChannel: uint32,
  senderChannel: uint32,
  initialWindow: uint32,
  maximumPacket: uint32,
  payload,
})

export const ChannelOpenFailure = message(92, 'CHANNEL_OPEN_FAILURE', 'connection', {
  recipientChannel: uint32,
  reason: uint32,
  description: text,
  language: text,
})

export const ChannelWindowAdjust = message(93, 'CHANNEL_WINDOW_ADJUST', 'connection', {
  recipientChannel: uint32,
  bytes: uint32,
})

export const ChannelData = message(94, 'CHANNEL_DATA', 'connection', { recipientChannel: uint32, data })

export const ChannelExtendedData = message(95, 'CHANNEL_EXTENDED_DATA', 'connection', {
  recipientChannel: uint32,
  dataType: uint32,
  data,
})

export const ChannelEof = message(96, 'CHANNEL_EOF', 'connection', { recipientChannel: uint32 })

export const ChannelClose = message(97, 'CHANNEL_CLOSE', 'connection', { recipientChannel: uint32 })

export const ChannelRequest = message(98, 'CHANNEL_REQUEST', 'connection', {
  recipientChannel: uint32,
  request: text,
  wantReply: boolean,
  payload,
})

export const ChannelSuccess = message(99, 'CHANNEL_SUCCESS', 'connection', { recipientChannel: uint32 })

export const ChannelFailure = message(100, 'CHANNEL_FAILURE', 'connection', { recipientChannel: uint32 })

/** All of them, in the order of their numbers. */
export const connectionMessages = [
  GlobalRequest,
  RequestSuccess,
  RequestFailure,
  ChannelOpen,
  ChannelOpenConfirmation,
  ChannelOpenFailure,
  ChannelWindowAdjust,
  ChannelData,
  ChannelExtendedData,
  ChannelEof,
  ChannelClose,
  ChannelRequest,
  ChannelSuccess,
  ChannelFailure,
] as const

/** Reasons of CHANNEL_OPEN_FAILURE (RFC 4254 §5.1). */
export const OpenFailureReason = {
  administrativelyProhibited: 1,
  connectFailed: 2,
  unknownChannelType: 3,
  resourceShortage: 4,
} as const

/** The only type of extended data that has a meaning (RFC 4254 §5.2). */
export const extendedDataStderr = 1
