import { describe, expect, it } from 'vitest'
import type { Log } from '../../lib/log.ts'
import { ServiceAccept, ServiceRequest } from '../../lib/transport/messages.ts'
import { cbc, ctr, gcm, hmacSha256, hmacSha256Etm, localAlgorithms } from '../support/local-algorithms.ts'
import { single, straddling, transportPair, whole } from '../support/transport-pair.ts'

describe('two transports', () => {
  for (const [name, chunking] of Object.entries({ whole, single, straddling })) {
    for (const [cipher, mac] of [
      [gcm, hmacSha256],
      [ctr, hmacSha256],
      [ctr, hmacSha256Etm],
      [cbc, hmacSha256],
    ] as const) {
      it(`exchange keys and messages with ${cipher.name} and ${mac.name}, ${name}`, async () => {
        const algorithms = { ...localAlgorithms, cipher: [cipher], mac: [mac] }
        const pair = transportPair({ chunking, client: { algorithms }, server: { algorithms } })
        const { client, server } = pair
        await pair.opened
        expect(client.error).toBeUndefined()
        expect(server.error).toBeUndefined()
        expect(client.transport.sessionId).toEqual(server.transport.sessionId)
        expect(client.transport.hostKey).toEqual(server.transport.hostKey)
        expect(client.transport.negotiated).toEqual(server.transport.negotiated)
        expect(client.transport.negotiated.strict).toBe(true)
        client.transport.send(ServiceRequest, { service: 'ssh-userauth' })
        await expect.poll(() => server.received.length).toBe(1)
        expect(ServiceRequest.read(server.received[0]!.payload).service).toBe('ssh-userauth')
        server.transport.send(ServiceAccept, { service: 'ssh-userauth' })
        await expect.poll(() => client.received.length).toBe(1)
        expect([...client.transport.peerExtensions.keys()]).toEqual([
          'server-sig-algs',
          'publickey-hostbound@openssh.com',
          'ping@openssh.com',
        ])
        expect([...server.transport.peerExtensions.keys()]).toEqual(['ext-info-in-auth@openssh.com'])
      })
    }
  }

  it('log what users of OpenSSH look for', async () => {
    const lines: string[] = []
    const log: Log = { error: () => undefined, debug1: line => lines.push(line) }
    const pair = transportPair({ client: { log } })
    await pair.opened
    await expect.poll(() => pair.client.transport.peerExtensions.size).toBe(3)
    expect(lines).toEqual([
      'Local version string SSH-2.0-test_client',
      'SSH2_MSG_KEXINIT sent',
      'Remote protocol version 2.0, remote software version test_server',
      'SSH2_MSG_KEXINIT received',
      'kex: algorithm: curve25519-sha256',
      'kex: host key algorithm: ssh-ed25519',
      'kex: server->client cipher: aes128-gcm@openssh.com MAC: <implicit> compression: none',
      'kex: client->server cipher: aes128-gcm@openssh.com MAC: <implicit> compression: none',
      'expecting SSH2_MSG_KEX_ECDH_REPLY',
      'SSH2_MSG_KEX_ECDH_REPLY received',
      'resetting send seqnr 3',
      'SSH2_MSG_NEWKEYS sent',
      'rekey out after 67108864 blocks',
      'Sending SSH2_MSG_EXT_INFO',
      'expecting SSH2_MSG_NEWKEYS',
      'resetting read seqnr 3',
      'SSH2_MSG_NEWKEYS received',
      'rekey in after 67108864 blocks',
      'SSH2_MSG_EXT_INFO received',
      'kex_ext_info_client_parse: server-sig-algs=<ssh-ed25519,rsa-sha2-512>',
      'kex_ext_info_client_parse: publickey-hostbound@openssh.com=<0>',
      'kex_ext_info_client_parse: ping@openssh.com=<0>',
    ])
  })
})
