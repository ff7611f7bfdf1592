(* The work of the rows `gc/*` in OCaml: `peers WORK SIZE` prints what collectors.rs prints for the same work. *)

type tree = Nil | Node of tree * tree

(* A leaf is made anew each time, as in the other languages, and not once for all as the constant that it is. *)
let rec make depth =
  if depth = 0 then Node (Sys.opaque_identity Nil, Nil)
  else
    let left = make (depth - 1) in
    Node (left, make (depth - 1))

let rec count = function
  | Nil -> 0
  | Node (left, right) -> 1 + count left + count right

let binary_trees depth =
  let nodes = ref (count (make (depth + 1))) in
  let kept = make depth in
  let shallow = ref 4 in
  while !shallow <= depth do
    for _ = 1 to 1 lsl (depth - !shallow + 4) do
      nodes := !nodes + count (make !shallow)
    done;
    shallow := !shallow + 2
  done;
  !nodes + count kept

let short_lived_pairs pairs =
  for i = 0 to pairs - 1 do
    ignore (Sys.opaque_identity (i, i))
  done;
  pairs

type map = Empty | Bin of { size : int; key : int; value : int; left : map; right : map }

let size = function Empty -> 0 | Bin { size; _ } -> size
let join key value left right = Bin { size = 1 + size left + size right; key; value; left; right }
let delta = 3
let ratio = 2

let balance key value left right =
  let l = size left and r = size right in
  if l + r <= 1 then join key value left right
  else
    match (left, right) with
    | _, Bin root when r > delta * l -> (
      match root.left with
      | Bin middle when size root.left >= ratio * size root.right ->
        join middle.key middle.value
          (join key value left middle.left)
          (join root.key root.value middle.right root.right)
      | inner -> join root.key root.value (join key value left inner) root.right)
    | Bin root, _ when l > delta * r -> (
      match root.right with
      | Bin middle when size root.right >= ratio * size root.left ->
        join middle.key middle.value
          (join root.key root.value root.left middle.left)
          (join key value middle.right right)
      | inner -> join root.key root.value root.left (join key value inner right))
    | _ -> join key value left right

let rec insert map (key : int) value =
  match map with
  | Empty -> join key value Empty Empty
  | Bin node ->
    if key < node.key then balance node.key node.value (insert node.left key value) node.right
    else if key > node.key then balance node.key node.value node.left (insert node.right key value)
    else Bin { node with value }

let low_word = 0xFFFF_FFFF

let rec check map sum =
  match map with
  | Empty -> sum
  | Bin node ->
    let sum = check node.left sum in
    check node.right (((sum * 31) + node.key + node.value) land low_word)

let persistent_map entries =
  let key = ref 2_463_534_242 and map = ref Empty in
  for value = 0 to entries - 1 do
    key := !key lxor (!key lsl 13 land low_word);
    key := !key lxor (!key lsr 17);
    key := !key lxor (!key lsl 5 land low_word);
    map := insert !map !key value
  done;
  check !map 0

let () =
  let work =
    match Sys.argv.(1) with
    | "binary-trees" -> binary_trees
    | "short-lived-pairs" -> short_lived_pairs
    | "persistent-map" -> persistent_map
    | other -> failwith ("there is no " ^ other)
  in
  print_int (work (int_of_string Sys.argv.(2)));
  print_newline ()
