{-# LANGUAGE BangPatterns #-}
-- What is to be done again and again is not done once and shared.
{-# OPTIONS_GHC -O2 -fno-cse -fno-full-laziness #-}

-- | The work of the rows @gc/*@ in Haskell: @peers WORK SIZE@ prints what collectors.rs prints for the same work. Data is
-- strict, as in the other languages.
module Main (main) where

import Data.Bits (shiftL, shiftR, xor, (.&.))
import System.Environment (getArgs)

data Tree = Nil | Node !Tree !Tree

-- | No tree, which the optimizer cannot know: so a leaf is made anew each time, as in the other languages.
none :: Int -> Tree
none depth = if depth < 0 then Node Nil Nil else Nil
{-# NOINLINE none #-}

make :: Int -> Tree
make 0 = Node (none 0) Nil
make depth = Node (make (depth - 1)) (make (depth - 1))

count :: Tree -> Int
count Nil = 0
count (Node left right) = 1 + count left + count right

binaryTrees :: Int -> Int
binaryTrees depth = stretch `seq` kept `seq` shallow 4 stretch + count kept
  where
    stretch = count (make (depth + 1))
    kept = make depth
    shallow :: Int -> Int -> Int
    shallow d !nodes
      | d > depth = nodes
      | otherwise = shallow (d + 2) (times d (1 `shiftL` (depth - d + 4)) nodes)

times :: Int -> Int -> Int -> Int
times _ 0 !nodes = nodes
times depth n !nodes = times depth (n - 1) (nodes + count (make depth))
{-# NOINLINE times #-}

data Pair = Pair !Int !Int

-- | A function of which the optimizer does not know that it would do without the pair.
escape :: Pair -> Pair
escape pair = pair
{-# NOINLINE escape #-}

shortLivedPairs :: Int -> Int
shortLivedPairs pairs = go 0
  where
    go :: Int -> Int
    go i
      | i == pairs = i
      | otherwise = case escape (Pair i i) of Pair _ _ -> go (i + 1)

data Map = Empty | Bin !Int !Int !Int !Map !Map

size :: Map -> Int
size Empty = 0
size (Bin s _ _ _ _) = s

join :: Int -> Int -> Map -> Map -> Map
join key value left right = Bin (1 + size left + size right) key value left right

delta, ratio :: Int
delta = 3
ratio = 2

balance :: Int -> Int -> Map -> Map -> Map
balance key value left right
  | l + r <= 1 = join key value left right
  | r > delta * l, Bin _ rootKey rootValue inner outer <- right = case inner of
    Bin _ middleKey middleValue before after
      | size inner >= ratio * size outer ->
        join middleKey middleValue (join key value left before) (join rootKey rootValue after outer)
    _ -> join rootKey rootValue (join key value left inner) outer
  | l > delta * r, Bin _ rootKey rootValue outer inner <- left = case inner of
    Bin _ middleKey middleValue before after
      | size inner >= ratio * size outer ->
        join middleKey middleValue (join rootKey rootValue outer before) (join key value after right)
    _ -> join rootKey rootValue outer (join key value inner right)
  | otherwise = join key value left right
  where
    l = size left
    r = size right

insert :: Map -> Int -> Int -> Map
insert Empty !key !value = join key value Empty Empty
insert (Bin s nodeKey nodeValue left right) key value
  | key < nodeKey = balance nodeKey nodeValue (insert left key value) right
  | key > nodeKey = balance nodeKey nodeValue left (insert right key value)
  | otherwise = Bin s key value left right

lowWord :: Int
lowWord = 0xFFFFFFFF

check :: Map -> Int -> Int
check Empty !total = total
check (Bin _ key value left right) total =
  check right ((check left total * 31 + key + value) .&. lowWord)

persistentMap :: Int -> Int
persistentMap entries = go 0 2463534242 Empty
  where
    go :: Int -> Int -> Map -> Int
    go value !key !entered
      | value == entries = check entered 0
      | otherwise = go (value + 1) next (insert entered next value)
      where
        a = key `xor` ((key `shiftL` 13) .&. lowWord)
        b = a `xor` (a `shiftR` 17)
        !next = b `xor` ((b `shiftL` 5) .&. lowWord)

main :: IO ()
main = do
  args <- getArgs
  case args of
    ["binary-trees", n] -> print (binaryTrees (read n))
    ["short-lived-pairs", n] -> print (shortLivedPairs (read n))
    ["persistent-map", n] -> print (persistentMap (read n))
    _ -> error "usage: peers WORK SIZE"
