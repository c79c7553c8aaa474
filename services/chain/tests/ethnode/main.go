// A real go-ethereum 1.10.26 chain for tests: ethash, at a difficulty that a test's own miner meets in a moment.
//
// What is not geth's own, and why:
//   - The least difficulty is lowered. geth's 131,072 costs a light miner minutes a block.
//   - eth_submitWork is checked here with the light cache and then handed to geth's remote sealer, which is told not to
//     check again: for its own check it would first build a dataset of a gigabyte.
//   - eth_transfer sends a coin of an account of the first block, so that blocks have fees.
//   - eth_sideWork, eth_sideSeal and eth_sideInsert make somebody else's branch beside the chain, block by block, which the
//     test's miner seals; with more blocks than it leaves behind it is the chain from then on.
//   - miner.notify goes through a listener in this process, which needs the headers for that check, and from there to the
//     address that was asked for, as geth writes it: the header (-notify-full) or the work array.
//
// It prints "ready URL", lives until its standard input ends, and leaves nothing running.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/consensus"
	"github.com/ethereum/go-ethereum/consensus/beacon"
	"github.com/ethereum/go-ethereum/consensus/ethash"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/eth/downloader"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/log"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rpc"
)

// How long eth_submitWork waits for the header of a seal hash that the miner may have seen before this process did.
const headerPatience = 500 * time.Millisecond

// sealer checks eth_submitWork with the light cache. The headers come from geth's own notifications.
type sealer struct {
	ethereum   *eth.Ethereum
	engine     consensus.Engine
	inner      *ethash.API
	notify     string
	notifyFull bool

	mutex   sync.Mutex
	headers map[common.Hash]*types.Header
	side    []*types.Block
	next    *types.Block
}

// ServeHTTP takes geth's notification: the header of the newest work.
func (s *sealer) ServeHTTP(_ http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	header := new(types.Header)
	if err != nil || json.Unmarshal(body, header) != nil {
		return
	}
	s.mutex.Lock()
	s.headers[s.engine.SealHash(header)] = header
	s.mutex.Unlock()
	if s.notify != "" {
		go s.forward(body)
	}
}

// forward posts what geth would: nobody's being there is no error.
func (s *sealer) forward(header []byte) {
	body := header
	if !s.notifyFull {
		work, err := s.inner.GetWork()
		if err != nil {
			return
		}
		if body, err = json.Marshal(work); err != nil {
			return
		}
	}
	response, err := http.Post(s.notify, "application/json", bytes.NewReader(body))
	if err == nil {
		response.Body.Close()
	}
}

func (s *sealer) header(seal common.Hash) *types.Header {
	for until := time.Now().Add(headerPatience); ; time.Sleep(5 * time.Millisecond) {
		s.mutex.Lock()
		header := s.headers[seal]
		s.mutex.Unlock()
		if header != nil || time.Now().After(until) {
			return header
		}
	}
}

func (s *sealer) check(nonce types.BlockNonce, seal, mix common.Hash) error {
	header := s.header(seal)
	if header == nil {
		return errors.New("unknown work")
	}
	sealed := types.CopyHeader(header)
	sealed.Nonce, sealed.MixDigest = nonce, mix
	return s.engine.VerifyHeader(s.ethereum.BlockChain(), sealed, true)
}

// SubmitWork is eth_submitWork; registered after geth's own, it takes that name's place.
func (s *sealer) SubmitWork(nonce types.BlockNonce, seal, mix common.Hash) bool {
	if err := s.check(nonce, seal, mix); err != nil {
		log.Warn("a solution was refused", "cause", err)
		return false
	}
	return s.inner.SubmitWork(nonce, seal, mix)
}

// payer is an account that the first block gives coins to, for transactions. Its key is as good as public.
var payer, _ = crypto.ToECDSA(bytes.Repeat([]byte{7}, 32))

// Transfer is eth_transfer: a coin to nobody, at this price for each of 21,000 units of gas.
func (s *sealer) Transfer(price hexutil.Big) (common.Hash, error) {
	pool, config := s.ethereum.TxPool(), s.ethereum.BlockChain().Config()
	tx, err := types.SignNewTx(payer, types.LatestSigner(config), &types.LegacyTx{
		Nonce: pool.Nonce(crypto.PubkeyToAddress(payer.PublicKey)), To: &common.Address{0xee}, Value: big.NewInt(1),
		Gas: params.TxGas, GasPrice: price.ToInt(),
	})
	if err != nil {
		return common.Hash{}, err
	}
	return tx.Hash(), pool.AddLocal(tx)
}

// somebody is who finds the blocks of branches.
var somebody = common.Address{0xdd}

// SideWork is eth_sideWork: the seal hash of the branch's next block, without transactions. The first one leaves so many blocks
// behind.
func (s *sealer) SideWork(back hexutil.Uint64) (common.Hash, error) {
	chain := s.ethereum.BlockChain()
	parent := chain.GetBlockByNumber(chain.CurrentBlock().NumberU64() - uint64(back))
	if len(s.side) > 0 {
		parent = s.side[len(s.side)-1]
	}
	if parent == nil {
		return common.Hash{}, errors.New("the chain is shorter")
	}
	blocks, _ := core.GenerateChain(chain.Config(), parent, s.engine, s.ethereum.ChainDb(), 1, func(_ int, block *core.BlockGen) {
		// Ten seconds after its parent unless said, which is soon in the future.
		block.OffsetTime(-9)
		block.SetCoinbase(somebody)
	})
	s.next = blocks[0]
	return s.engine.SealHash(s.next.Header()), nil
}

// SideSeal is eth_sideSeal: the solution of that work.
func (s *sealer) SideSeal(nonce types.BlockNonce, mix common.Hash) bool {
	header := s.next.Header()
	header.Nonce, header.MixDigest = nonce, mix
	s.side = append(s.side, s.next.WithSeal(header))
	return true
}

// SideInsert is eth_sideInsert: the node hears of the branch.
func (s *sealer) SideInsert() (int, error) {
	blocks := s.side
	s.side, s.next = nil, nil
	return s.ethereum.BlockChain().InsertChain(blocks)
}

func chainConfig(london bool) *params.ChainConfig {
	zero := big.NewInt(0)
	config := &params.ChainConfig{
		ChainID: big.NewInt(1337), HomesteadBlock: zero, EIP150Block: zero, EIP155Block: zero, EIP158Block: zero,
		ByzantiumBlock: zero, ConstantinopleBlock: zero, PetersburgBlock: zero, IstanbulBlock: zero,
		Ethash: new(params.EthashConfig),
	}
	if london {
		config.BerlinBlock, config.LondonBlock = zero, zero
	}
	return config
}

func main() {
	folder := flag.String("datadir", "", "folder of this chain")
	caches := flag.String("caches", "", "folder of the ethash caches; processes may share it")
	difficulty := flag.Int64("difficulty", 64, "difficulty of the first block, and the least of all")
	london := flag.Bool("london", false, "London rules from the first block: headers have a base fee")
	etherbase := flag.String("etherbase", "0x00000000000000000000000000000000000000aa", "who is paid")
	extra := flag.String("extra", "ethnode", "text in each header: nodes with different texts have different work")
	notify := flag.String("notify", "", "address that is told of new work")
	notifyFull := flag.Bool("notify-full", false, "it is told by the header, not by the work array")
	flag.Parse()
	log.Root().SetHandler(log.LvlFilterHandler(log.LvlWarn, log.StreamHandler(os.Stderr, log.LogfmtFormat())))
	params.MinimumDifficulty = big.NewInt(*difficulty)

	nodeConfig := node.DefaultConfig
	nodeConfig.DataDir, nodeConfig.IPCPath = *folder, ""
	nodeConfig.HTTPHost, nodeConfig.HTTPPort = "127.0.0.1", 0
	nodeConfig.HTTPModules = []string{"eth", "net", "web3"}
	nodeConfig.P2P = p2p.Config{NoDiscovery: true, MaxPeers: 0, ListenAddr: "127.0.0.1:0"}
	stack, err := node.New(&nodeConfig)
	die(err)

	config := ethconfig.Defaults
	config.NetworkId, config.SyncMode, config.NoPruning = 1337, downloader.FullSync, true
	config.Genesis = &core.Genesis{
		Config: chainConfig(*london), Difficulty: big.NewInt(*difficulty), GasLimit: 30_000_000, Alloc: core.GenesisAlloc{
			crypto.PubkeyToAddress(payer.PublicKey): {Balance: big.NewInt(params.Ether)},
		},
	}
	config.Miner.Etherbase, config.Miner.ExtraData = common.HexToAddress(*etherbase), []byte(*extra)
	config.Miner.Noverify, config.Miner.NotifyFull = true, true
	config.Ethash.CacheDir, config.Ethash.DatasetDir = *caches, filepath.Join(*folder, "datasets")
	if *caches == "" {
		config.Ethash.CacheDir = "ethash"
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	die(err)
	config.Miner.Notify = []string{"http://" + listener.Addr().String()}

	ethereum, err := eth.New(stack, &config)
	die(err)
	work := &sealer{
		ethereum: ethereum, engine: ethereum.Engine(), notify: *notify, notifyFull: *notifyFull,
		headers: map[common.Hash]*types.Header{},
	}
	inner := ethereum.Engine().(*beacon.Beacon).InnerEngine().(*ethash.Ethash)
	for _, api := range inner.APIs(ethereum.BlockChain()) {
		if service, ok := api.Service.(*ethash.API); ok {
			work.inner = service
		}
	}
	go http.Serve(listener, work)
	stack.RegisterAPIs([]rpc.API{{Namespace: "eth", Service: work}})
	die(stack.Start())
	die(ethereum.StartMining(-1))
	fmt.Println("ready", stack.HTTPEndpoint())
	// The test that started us holds the other end: when it is gone, so are we.
	io.Copy(io.Discard, os.Stdin)
	stack.Close()
}

func die(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
