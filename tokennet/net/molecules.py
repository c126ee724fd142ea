"""Molecules to tokens.

Axes: B molecules, T atoms of all molecules, E bonds in both directions, K kinds of bonds, D
channels of a token.
"""

from collections.abc import Iterable
from numbers import Real
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokennet.checks import kind_of, positive, type_error, value_error
from tokennet.net.tokenizers import Tokenizer, ragged_structure
from tokennet.structure import Edges, Structure

_TABLE = (
    "* H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se "
    "Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy "
    "Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf "
    "Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og"
)
SYMBOLS = _TABLE.split()  # the place is the atomic number, 0 is any atom
NUMBER = {symbol: number for number, symbol in enumerate(SYMBOLS)}
ORDERS = (1.0, 1.5, 2.0, 3.0)  # 1.5 is aromatic
CHARGE, HYDROGENS = 8, 8  # the largest, either way


class Molecule(NamedTuple):
    """What is read of a molecule."""

    atoms: list[tuple[int, int, int, int]]  # atomic number, charge, hydrogens, aromatic
    bonds: list[tuple[int, int, int]]  # two atoms, the place in ORDERS


class MoleculeTokenizer(Tokenizer):
    """Every atom as a token, every bond as two edges.

    x = E[element] + C[charge] + H[hydrogens] + A[aromatic], four learned tables, as the atom
    encoder of the Open Graph Benchmark (Hu et al. 2020). Inputs: a list of molecules, each a SMILES
    (read by RDKit: `pip install 'tokennet[molecules]'`) or a networkx graph with the attributes
    `element` (a symbol), `charge`, `hcount`, `aromatic` of its nodes and `order` of its edges; all
    but `element` may be left out. Output `[T, dim]`, packed, atoms as they stand in the molecule.
    The edges' `attr` `[E, 4]` is one-hot: single, aromatic, double, triple; a bond of order 0 is
    none.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.dim = positive("dim", dim)
        self.element = nn.Embedding(len(SYMBOLS), dim)
        self.charge = nn.Embedding(2 * CHARGE + 1, dim)
        self.hydrogens = nn.Embedding(HYDROGENS + 1, dim)
        self.aromatic = nn.Embedding(2, dim)

    def forward(
        self, inputs: list[Any], structure: Structure | None = None
    ) -> tuple[Float[Tensor, "T D"], Structure]:
        molecules, table = read_molecules(inputs), self.element.weight
        lengths = [len(m.atoms) for m in molecules]
        atoms = [atom for m in molecules for atom in m.atoms]
        bonds, first = [], 0
        for molecule, length in zip(molecules, lengths, strict=True):
            bonds += [(first + a, first + b, kind) for a, b, kind in molecule.bonds]
            first += length
        facts = torch.tensor(atoms, dtype=torch.int64, device=table.device).view(-1, 4)
        a, b, kind = torch.tensor(bonds, dtype=torch.int64, device=table.device).view(-1, 3).T
        number, charge, hydrogens, aromatic = facts.T
        x = self.element(number) + self.charge(charge + CHARGE)
        x = x + self.hydrogens(hydrogens) + self.aromatic(aromatic)
        index = torch.stack([torch.stack([a, b], 1), torch.stack([b, a], 1)], 2)  # [bonds, 2, 2]
        attr = F.one_hot(kind.repeat_interleave(2), len(ORDERS)).to(table.dtype)
        edges = Edges(index.movedim(1, 0).reshape(2, -1), attr=attr)
        return x, ragged_structure(lengths, table.device, structure, edges)


def read_molecules(inputs: Any) -> list[Molecule]:
    """Molecules as the tokenizer reads them, which it takes too: for data that is used often."""
    if isinstance(inputs, str) or not isinstance(inputs, Iterable):
        hint = "put one molecule into a list"
        raise type_error("inputs", kind_of(inputs), "a list of SMILES or networkx graphs", hint)
    found = []
    for i, molecule in enumerate(inputs):
        if isinstance(molecule, Molecule):
            found.append(molecule)
        elif isinstance(molecule, str):
            found.append(_from_smiles(f"inputs[{i}]", molecule))
        elif hasattr(molecule, "nodes") and hasattr(molecule, "edges"):
            found.append(_from_graph(f"inputs[{i}]", molecule))
        else:
            raise type_error(f"inputs[{i}]", kind_of(molecule), "a SMILES or a networkx graph")
    return found


def _from_smiles(name: str, smiles: str) -> Molecule:
    try:
        from rdkit import Chem, rdBase
    except ImportError as error:
        hint = "SMILES are read by RDKit: pip install 'tokennet[molecules]'"
        raise ImportError(hint) from error
    with rdBase.BlockLogs():  # what is wrong is told below
        molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        raise value_error(name, repr(smiles), "a valid SMILES", "RDKit cannot read it")
    atoms = [
        _atom(
            f"{name}[{a.GetIdx()}]", a.GetAtomicNum(), a.GetFormalCharge(), a.GetTotalNumHs(),
            a.GetIsAromatic(),
        )
        for a in molecule.GetAtoms()
    ]  # fmt: skip
    bonds = [
        (b.GetBeginAtomIdx(), b.GetEndAtomIdx(), b.GetBondTypeAsDouble())
        for b in molecule.GetBonds()
    ]
    return Molecule(atoms, [_bond(name, *bond) for bond in bonds if bond[2]])


def _from_graph(name: str, graph: Any) -> Molecule:
    place = {node: i for i, node in enumerate(graph.nodes)}
    atoms = []
    for node, facts in graph.nodes(data=True):
        element = facts.get("element")
        if element not in NUMBER:
            hint = "a node attribute; '*' is any"
            raise value_error(f"{name}[{node!r}].element", element, "a chemical symbol", hint)
        rest = (facts.get(key, 0) for key in ("charge", "hcount", "aromatic"))
        atoms.append(_atom(f"{name}[{node!r}]", NUMBER[element], *rest))
    bonds = [(place[u], place[v], facts.get("order", 1)) for u, v, facts in graph.edges(data=True)]
    return Molecule(atoms, [_bond(name, *bond) for bond in bonds if bond[2]])


def _atom(
    name: str, number: int, charge: Any, hydrogens: Any, aromatic: Any
) -> tuple[int, int, int, int]:
    for key, value, low, high in (
        ("charge", charge, -CHARGE, CHARGE), ("hydrogens", hydrogens, 0, HYDROGENS),
    ):  # fmt: skip
        whole = isinstance(value, Real) and float(value).is_integer()
        if not whole or not low <= value <= high:
            raise value_error(f"{name}.{key}", repr(value), f"a whole number from {low} to {high}")
    return number, int(charge), int(hydrogens), int(bool(aromatic))


def _bond(name: str, a: int, b: int, order: float) -> tuple[int, int, int]:
    if order not in ORDERS:
        raise value_error(f"{name}.order", order, "a bond order of 0, 1, 1.5, 2 or 3")
    return a, b, ORDERS.index(order)
