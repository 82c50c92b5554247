import { allAlgorithms } from '../../lib/algorithms/index.ts'
import { type Client, openClient } from '../../lib/client.ts'
import type { ConnectionOptions } from '../../lib/connection/connection.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import { keySigner } from '../../lib/keys/signer.ts'
import { openServer, type Server } from '../../lib/server.ts'
import type { RekeyLimit } from '../../lib/transport/transport.ts'
import { type Chunking, Wire, whole } from './transport-pair.ts'

export interface EnginePairOptions {
  readonly client?: Omit<ConnectionOptions, 'log'>
  readonly server?: Omit<ConnectionOptions, 'log'>
  readonly rekeyLimit?: RekeyLimit
  readonly chunking?: Chunking
}

export interface EnginePair {
  readonly client: Client
  readonly server: Server
}

/** A client and a server with all their layers and real cryptography, joined by a function, one user logged in. */
export async function enginePair(options: EnginePairOptions = {}): Promise<EnginePair> {
  const { chunking = whole, rekeyLimit } = options
  const hostKeys = [keySigner(generateKey('ed25519'))]
  const limit = rekeyLimit && { rekeyLimit }
  const toServer = new Wire(chunking, () => server.transport)
  const toClient = new Wire(chunking, () => client.transport)
  const client = openClient({
    transport: { algorithms: allAlgorithms, softwareVersion: 'tssh_0', verifyHostKey() {}, ...limit },
    credentials: { user: 'somebody', methods: ['password'], password: async () => 'secret' },
    ...(options.client && { connection: options.client }),
    output(chunks) {
      toServer.write(chunks)
      return true
    },
  })
  const server = openServer({
    transport: {
      algorithms: allAlgorithms,
      softwareVersion: 'tssh_0',
      hostKeys,
      ...limit,
    },
    authentication: {
      authority: { password: async (_, password) => ({ accepted: password === 'secret' }) },
      signatureAlgorithms: ['ssh-ed25519'],
    },
    connection: () => options.server ?? {},
    output(chunks) {
      toClient.write(chunks)
      return true
    },
  })
  await Promise.all([client.authentication, server.login])
  return { client, server }
}
