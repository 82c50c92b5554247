import { type ChannelType, channelType, type OpenLayout } from './channel-type.ts'

const nothing: OpenLayout<undefined> = { read: () => undefined, write() {} }

/** A connection to the client's agent (draft-miller-ssh-agent §4): the server opens, the client connects. */
export const authAgent: ChannelType<undefined> = channelType('auth-agent@openssh.com', nothing)

/** The same under the name that IANA knows, for peers that announced `agent-forward` (RFC 8308 extension). */
export const agentConnect: ChannelType<undefined> = channelType('agent-connect', nothing)
