// npm ssh2 as a client: ssh2-client.js port user keyfile cipher kex command; stdin and stdout are the command's.
import { readFileSync } from 'node:fs'
import ssh2 from 'ssh2'

const [port, username, key, cipher, kex, command] = process.argv.slice(2)
const algorithms = { ...(cipher && { cipher: [cipher] }), ...(kex && { kex: [kex] }) }
const client = new ssh2.Client()
client.on('ready', () => {
  client.exec(command, (error, stream) => {
    if (error) throw error
    stream.on('exit', code => {
      process.exitCode = code
    })
    stream.on('close', () => client.end())
    process.stdin.pipe(stream)
    stream.pipe(process.stdout)
  })
})
client.connect({ host: '127.0.0.1', port: Number(port), username, privateKey: readFileSync(key), algorithms })
