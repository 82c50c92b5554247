// Go's golang.org/x/crypto/ssh:
//
//	client port user keyfile cipher kex command	stdin and stdout are the command's
//	server hostkey authorized_key port	lets one key in and runs commands and forwards
package main

import (
	"bytes"
	"errors"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"strconv"

	"golang.org/x/crypto/ssh"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) == 8 && os.Args[1] == "client" {
		client(os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[6], os.Args[7])
	} else if len(os.Args) == 5 && os.Args[1] == "server" {
		server(os.Args[2], os.Args[3], os.Args[4])
	} else {
		log.Fatal("usage: see the source")
	}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func signer(file string) ssh.Signer {
	text, err := os.ReadFile(file)
	must(err)
	key, err := ssh.ParsePrivateKey(text)
	must(err)
	return key
}

func client(port, user, key, cipher, kex, command string) {
	config := &ssh.ClientConfig{
		User:            user,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(signer(key))},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	}
	if cipher != "" {
		config.Ciphers = []string{cipher}
	}
	if kex != "" {
		config.KeyExchanges = []string{kex}
	}
	connection, err := ssh.Dial("tcp", "127.0.0.1:"+port, config)
	must(err)
	session, err := connection.NewSession()
	must(err)
	session.Stdin, session.Stdout, session.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = session.Run(command)
	var exit *ssh.ExitError
	if errors.As(err, &exit) {
		os.Exit(exit.ExitStatus())
	}
	must(err)
}

func server(hostKey, authorized, port string) {
	text, err := os.ReadFile(authorized)
	must(err)
	allowed, _, _, _, err := ssh.ParseAuthorizedKey(text)
	must(err)
	config := &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if bytes.Equal(key.Marshal(), allowed.Marshal()) {
				return nil, nil
			}
			return nil, errors.New("unknown key")
		},
	}
	config.AddHostKey(signer(hostKey))
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	must(err)
	for {
		socket, err := listener.Accept()
		must(err)
		go serve(socket, config)
	}
}

func serve(socket net.Conn, config *ssh.ServerConfig) {
	_, channels, requests, err := ssh.NewServerConn(socket, config)
	if err != nil {
		socket.Close()
		return
	}
	go ssh.DiscardRequests(requests)
	for asked := range channels {
		switch asked.ChannelType() {
		case "session":
			channel, requests, err := asked.Accept()
			if err == nil {
				go serveSession(channel, requests)
			}
		case "direct-tcpip":
			go forward(asked)
		default:
			asked.Reject(ssh.UnknownChannelType, asked.ChannelType())
		}
	}
}

func serveSession(channel ssh.Channel, requests <-chan *ssh.Request) {
	for request := range requests {
		var exec struct{ Command string }
		known := request.Type == "exec" && ssh.Unmarshal(request.Payload, &exec) == nil
		if request.WantReply {
			request.Reply(known, nil)
		}
		if known {
			go run(channel, exec.Command)
		}
	}
}

func run(channel ssh.Channel, command string) {
	defer channel.Close()
	program := exec.Command("/bin/sh", "-c", command)
	program.Stdout, program.Stderr = channel, channel.Stderr()
	input, err := program.StdinPipe()
	if err != nil || program.Start() != nil {
		return
	}
	go func() {
		io.Copy(input, channel)
		input.Close()
	}()
	program.Wait()
	channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(program.ProcessState.ExitCode())}))
}

func forward(asked ssh.NewChannel) {
	var way struct {
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}
	if ssh.Unmarshal(asked.ExtraData(), &way) != nil {
		asked.Reject(ssh.ConnectionFailed, "malformed")
		return
	}
	socket, err := net.Dial("tcp", net.JoinHostPort(way.Host, strconv.Itoa(int(way.Port))))
	if err != nil {
		asked.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	channel, requests, err := asked.Accept()
	if err != nil {
		socket.Close()
		return
	}
	go ssh.DiscardRequests(requests)
	go func() {
		io.Copy(channel, socket)
		channel.CloseWrite()
	}()
	io.Copy(socket, channel)
	socket.(*net.TCPConn).CloseWrite()
}
