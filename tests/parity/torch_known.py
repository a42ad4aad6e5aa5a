"""Expressions in which the face knowingly differs from PyTorch, each with the reason."""

# ruff: noqa: E501 (tables of expressions, one to a line)

from __future__ import annotations

KNOWN: dict[str, str] = {
    "torch.result_type(torch.ones(2,dtype=torch.float16),torch.ones((),dtype=torch.complex64))": "PyTorch gives complex32, of which there are no tensors here",
    "torch.result_type(torch.ones(2,dtype=torch.float16),torch.ones((),dtype=torch.complex128))": "PyTorch gives complex32, of which there are no tensors here",
    "torch.result_type(torch.ones((),dtype=torch.complex64),torch.ones(2,dtype=torch.float16))": "PyTorch gives complex32, of which there are no tensors here",
    "torch.result_type(torch.ones((),dtype=torch.complex128),torch.ones(2,dtype=torch.float16))": "PyTorch gives complex32, of which there are no tensors here",
    "torch.exp2(t([1+2j,-1j,2+0j],dtype=torch.complex64))": "exp2 of complex numbers is not implemented",
    "torch.exp2(t([1+2j,-1j,2+0j],dtype=torch.complex128))": "exp2 of complex numbers is not implemented",
    "torch.logaddexp(t([1.5,-2.0,0.3],dtype=torch.float32),t([2,1,3],dtype=torch.complex64))": "logaddexp of complex numbers is not implemented",
    "torch.logaddexp(t([1.5,-2.0,0.3],dtype=torch.float32),t([2,1,3],dtype=torch.complex128))": "logaddexp of complex numbers is not implemented",
    "torch.logaddexp(t([1+2j,-1j,2+0j],dtype=torch.complex64),t([2,1,3],dtype=torch.complex64))": "logaddexp of complex numbers is not implemented",
    "torch.logaddexp(t([1+2j,-1j,2+0j],dtype=torch.complex128),t([2,1,3],dtype=torch.complex128))": "logaddexp of complex numbers is not implemented",
    "torch.logsumexp(t([1+2j,-1j,2+0j],dtype=torch.complex64),0)": "logsumexp of complex numbers is not implemented",
    "torch.logsumexp(t([1+2j,-1j,2+0j],dtype=torch.complex128),0)": "logsumexp of complex numbers is not implemented",
    "x.rot90().stride()": "results of copies are contiguous here; PyTorch keeps the order of the source's axes",
    "x.expand(2,2,3,4).zero_()": "a write through overlapping elements is refused here even where it does no harm",
    "after('y=x.clone();y[1:,True,]=t(3)','y')": "a bool among the indices: PyTorch asks for equal dtypes here",
    "after('y=b.clone();y[False,b]=torch.ones(4)','y')": "both refuse; PyTorch finds the shapes at fault first",
    "after('y=i.clone();y[False,i>2]=torch.ones(1,1)','y')": "both refuse; PyTorch finds the shapes at fault first",
    "after('y=i.clone();y[False,t([0,1]),]=torch.ones(1,1)','y')": "both refuse; PyTorch finds the shapes at fault first",
    "after('y=i.clone();y[...,True]=torch.ones(1,1)','y')": "a bool among the indices: PyTorch asks for equal dtypes here",
    "after('y=x.permute(2,1,0).clone();y[t([[0,1],[1,0]]),:,False,]=t(3)','y')": "both refuse; PyTorch finds the shapes at fault first",
    "after('y=x.permute(2,1,0).clone();y[1:1,False,]=t(3)','y')": "a bool among the indices: PyTorch asks for equal dtypes here",
    "after('y=x.clone();y[True,None]=t(3)','y')": "a bool among the indices: PyTorch asks for equal dtypes here",
    "after('y=b.clone();y[False,None]=t(3)','y')": "a bool among the indices: PyTorch asks for equal dtypes here",
    "after('y=b.clone();y[False,[0,1],]=torch.ones(4)','y')": "both refuse; PyTorch finds the shapes at fault first",
    "t([t(1.5),2],dtype=torch.int64)": "a float tensor in a list is cut to a whole number where PyTorch refuses it",
    "t([t(1.5),2],dtype=torch.bool)": "a float tensor in a list is cut to a whole number where PyTorch refuses it",
    "t([t(1.5),2],dtype=torch.uint8)": "a float tensor in a list is cut to a whole number where PyTorch refuses it",
    "b@b": "the product of bool matrices is refused as a RuntimeError that is no NotImplementedError",
}
